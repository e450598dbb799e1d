import { render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";

import { Mishap } from "./Mishap";

function Broken(): never {
  throw new Error("a defect");
}

it("a page that fails leaves a way on", () => {
  vi.spyOn(console, "error").mockReturnValue();
  render(
    <Mishap>
      <Broken />
    </Mishap>,
  );
  expect(screen.getByRole("heading", { level: 1 })).toHaveTextContent("our fault");
  expect(screen.getByRole("link", { name: "To the shop" })).toHaveAttribute("href", "/");
});

it("a page that does not is left alone", () => {
  render(<Mishap>fine</Mishap>);
  expect(screen.getByText("fine")).toBeInTheDocument();
});
