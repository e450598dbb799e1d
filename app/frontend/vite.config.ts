import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const COMPRESSIBLE = /\.(?:html|js|css|svg|woff2)$/;

/** Writes .gz and .br beside every text file, so that the server never compresses by itself. */
function precompress(): Plugin {
  return {
    name: "precompress",
    apply: "build",
    closeBundle() {
      const root = join(import.meta.dirname, "dist");
      for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !COMPRESSIBLE.test(entry.name)) continue;
        const file = join(entry.parentPath, entry.name);
        const bytes = readFileSync(file);
        const brotli = brotliCompressSync(bytes, {
          params: {
            [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
            [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
          },
        });
        writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
        writeFileSync(`${file}.br`, brotli);
      }
    },
  };
}

/**
 * Writes the page's ETag for the server, which would make one of time and length: the same for two
 * builds, as all files of an image carry the same time.
 */
function pageTag(): Plugin {
  return {
    name: "page-tag",
    apply: "build",
    closeBundle() {
      const root = join(import.meta.dirname, "dist");
      const page = readFileSync(join(root, "index.html"));
      const tag = createHash("sha256").update(page).digest("hex").slice(0, 16);
      writeFileSync(join(root, "page-tag.caddy"), `import page ${tag}\n`);
    },
  };
}

/** `SHOP=http://127.0.0.1:8000 npm run dev` works on the pages with a real shop behind them. */
const shop = process.env.SHOP;
const proxy = shop
  ? Object.fromEntries(
      ["/api", "/health", "/.well-known"].map((path) => [path, { target: shop, secure: false }]),
    )
  : {};

export default defineConfig({
  plugins: [react(), precompress(), pageTag()],
  build: {
    // Data URLs would hide bytes from caches and from the size test.
    assetsInlineLimit: 0,
    // Every browser in support preloads modules by itself.
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy },
  preview: { proxy },
  test: {
    environment: "jsdom",
    setupFiles: ["tests/setup.ts"],
    include: ["src/**/*.test.{ts,tsx}", "tests/**/*.test.ts"],
    testTimeout: 30_000,
    restoreMocks: true,
    unstubGlobals: true,
  },
});
