// @vitest-environment node
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";

const DIST = join(import.meta.dirname, "..", "dist");
/** All of the first load, as browsers fetch it over TLS. */
const FIRST_LOAD_BYTES = 110_000;

const read = (file: string) => readFileSync(join(DIST, file));
const files = readdirSync(DIST, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).slice(DIST.length + 1));
const html = read("index.html").toString();
const loaded = [...html.matchAll(/(?:src|href)="\/([^"]+)"/g)].map(([, file]) => file ?? "");

describe("the build", () => {
  it("loads little", () => {
    const scripts = loaded.filter((file) => file.endsWith(".js"));
    expect(scripts).not.toHaveLength(0);
    const bytes = ["index.html", ...loaded].map((file) => read(`${file}.br`).length);
    expect(bytes.reduce((sum, size) => sum + size)).toBeLessThan(FIRST_LOAD_BYTES);
  });

  it("names assets after their contents", () => {
    const assets = loaded.filter((file) => file !== "favicon.svg");
    for (const asset of assets) expect(asset).toMatch(/^assets\/[\w-]+-[\w-]{8}\.(js|css)$/);
  });

  it("has no script, style or handler in the page itself", () => {
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:/i);
  });

  it("fetches nothing from elsewhere", () => {
    expect(html).not.toMatch(/(?:src|href)="(?!\/)/);
    for (const file of files.filter((name) => name.endsWith(".css"))) {
      expect(read(file).toString()).not.toMatch(/url\(|@import/);
    }
  });

  it("has each text in three forms with the same contents", () => {
    const texts = files.filter((name) => /\.(html|js|css|svg)$/.test(name));
    expect(texts.length).toBeGreaterThanOrEqual(4);
    for (const text of texts) {
      expect(gunzipSync(read(`${text}.gz`)).equals(read(text))).toBe(true);
      expect(brotliDecompressSync(read(`${text}.br`)).equals(read(text))).toBe(true);
    }
  });

  it("ships no source map and no path of the machine that built it", () => {
    expect(files.filter((name) => name.endsWith(".map"))).toEqual([]);
    for (const file of files.filter((name) => /\.(html|js|css)$/.test(name))) {
      expect(read(file).toString()).not.toContain(import.meta.dirname);
    }
  });
});
