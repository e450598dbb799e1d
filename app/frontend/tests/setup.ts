import "@testing-library/jest-dom/vitest";

import { cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";

// A machine that is busy takes its time; what never comes still fails.
configure({ asyncUtilTimeout: 10_000 });

// The test of the build runs without a page.
if (typeof window !== "undefined") {
  // jsdom has no layout, no top layer and nothing to draw on.
  HTMLCanvasElement.prototype.getContext = () => null;
  window.scrollTo = vi.fn();
  Element.prototype.scrollIntoView = vi.fn();
  HTMLDialogElement.prototype.showModal = function show(this: HTMLDialogElement) {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function close(this: HTMLDialogElement) {
    this.open = false;
  };

  afterEach(() => {
    cleanup();
    localStorage.clear();
    document.title = "";
  });
}
