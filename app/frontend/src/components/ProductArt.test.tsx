import { render } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { DRAWINGS } from "../art/drawings";
import { ProductArt } from "./ProductArt";

const KINDS = Object.entries(DRAWINGS).flatMap(([category, kinds]) =>
  Object.keys(kinds).map((kind) => [category, kind] as const),
);

function draw(id: number, name: string, category?: string): SVGSVGElement {
  const { container } = render(<ProductArt id={id} name={name} {...(category && { category })} />);
  const svg = container.querySelector("svg");
  if (!svg) throw new Error("no drawing");
  return svg;
}

/** The drawing without what depends on the id. */
const shapes = (svg: SVGSVGElement) => svg.querySelector("g")?.innerHTML;

describe("a product's picture", () => {
  it.each(KINDS)("%s: %s has shapes that a browser can draw", (category, kind) => {
    const svg = draw(1, `Rowan Simple ${kind}`);
    expect(svg).toHaveClass(`art-${category.toLowerCase().replace(" ", "-")}`);
    const drawn = svg.querySelectorAll("g > *");
    expect(drawn.length).toBeGreaterThan(2);
    for (const shape of drawn) {
      expect(shape.getAttribute("class")).toMatch(/^art-(area-[abcdg]|line-[abcd])$/);
      for (const { name, value } of shape.attributes) {
        if (name === "d") expect(value).toMatch(/^M[-0-9.,\sa-zA-Z]+$/);
        else if (name !== "class") expect(value).toMatch(/^-?[0-9.]+$/);
      }
    }
  });

  it("is the same for the same product, with and without its category", () => {
    expect(draw(7, "Rowan Kettle").outerHTML).toBe(draw(7, "Rowan Kettle", "Kitchen").outerHTML);
  });

  it("tells a thing by the longest name that fits", () => {
    expect(shapes(draw(1, "Marlow Linen Tea Towel"))).toBe(shapes(draw(1, "Tea Towel")));
    expect(shapes(draw(1, "Tea Towel"))).not.toBe(shapes(draw(1, "Bath Towel")));
  });

  it("is a box for what nobody has drawn yet", () => {
    expect(shapes(draw(1, "Flux Capacitor"))).toBe(shapes(draw(1, "Spanner", "Tools")));
    expect(draw(1, "Flux Capacitor")).toHaveClass("art-other");
  });

  it("is decoration unless it has a label", () => {
    expect(draw(1, "Kettle")).toHaveAttribute("aria-hidden", "true");
    const { getByRole } = render(<ProductArt id={1} name="Kettle" label="A kettle" />);
    expect(getByRole("img", { name: "A kettle" })).toBeInTheDocument();
  });
});
