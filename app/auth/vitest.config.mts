import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/*.test.ts"] } },
      // Against the PostgreSQL and Valkey that the service's own variables name.
      { test: { name: "stores", include: ["test/stores/*.test.ts"] } },
    ],
  },
});
