// Bundles the service into one file: under emulation, reading hundreds of them is what start-up
// would be. Native code is copied beside it.
import { build } from "esbuild";

const [entry = "src/main.ts", outdir = "dist"] = process.argv.slice(2);

await build({
  entryPoints: { main: entry },
  outdir,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  // Names stay, so that a stack trace in the log can be read.
  minifySyntax: true,
  minifyWhitespace: true,
  loader: { ".node": "copy" },
  assetNames: "[name]",
  // pg tells worker runtimes by this global; without it, it would load all of `fetch` to find out.
  define: { navigator: '{ "userAgent": "Node.js" }' },
  // Optional parts that the service does not use: argon2 for another C library, Fastify's schema
  // compilers and test tool, pg's binding to libpq.
  external: [
    "@node-rs/argon2-*-musl",
    "@fastify/ajv-compiler",
    "@fastify/fast-json-stringify-compiler",
    "light-my-request",
    "pg-native",
  ],
  logLevel: "warning",
});
