import { memo } from "react";

import { DRAWINGS } from "../art/drawings";

const KIND_TO_CATEGORY = new Map(
  Object.entries(DRAWINGS).flatMap(([category, kinds]) =>
    Object.keys(kinds).map((kind) => [kind, category] as const),
  ),
);
/** The longest name first, so that a `Tea Towel` is no `Towel`. */
const KINDS = [...KIND_TO_CATEGORY.keys()].sort((one, other) => other.length - one.length);

/** Things that nobody has drawn yet come in a box. */
const BOX = "aM40 84h120v80H40z;bM40 84l16-26h88l16 26z;dM90 58h20v60H90z;cM56 140h30v10H56z";

const BACKDROPS = [
  "M32 200V96a68 68 0 0 1 136 0v104z",
  "M100 18a84 84 0 1 1 0 168 84 84 0 0 1 0-168z",
  "M8 200v-84a28 28 0 0 1 56 0v84zM70 200V78a30 30 0 0 1 60 0v122zM136 200v-84a28 28 0 0 1 56 0v84z",
  "M0 200v-56a100 78 0 0 1 200 0v56z",
];

interface Props {
  id: number;
  name: string;
  /** Where it is known; the name says it otherwise. */
  category?: string;
  /** Said to those who do not see it; without it the picture is decoration. */
  label?: string;
}

/** A product's picture: always the same for the same product, made here from a few shapes. */
export const ProductArt = memo(function ProductArt({ id, name, category, label }: Props) {
  const kind = KINDS.find((known) => name.endsWith(known));
  const place = category ?? (kind && KIND_TO_CATEGORY.get(kind)) ?? "";
  const drawing = (kind && DRAWINGS[KIND_TO_CATEGORY.get(kind) ?? ""]?.[kind]) ?? BOX;
  // Knuth's multiplicative hash: neighbours in the catalogue look different.
  const chance = Math.imul(id, 2654435761) >>> 27;
  const access = label ? { role: "img", "aria-label": label } : { "aria-hidden": true };
  return (
    <svg
      className={`art art-${slug(place)} art-tint-${chance >> 3}`}
      viewBox="0 0 200 200"
      {...access}
    >
      <rect className="art-ground" width="200" height="200" />
      <path className="art-backdrop" d={BACKDROPS[chance & 3]} />
      <ellipse className="art-shadow" cx="100" cy="172" rx="74" ry="6" />
      <g transform={chance & 8 ? "matrix(-1 0 0 1 200 0)" : undefined}>
        {drawing.split(";").map((shape, index) => (
          <Shape key={index} shape={shape} />
        ))}
      </g>
    </svg>
  );
});

function Shape({ shape }: { shape: string }) {
  const tone = shape.charAt(0);
  const outline = tone !== tone.toLowerCase();
  const className = `${outline ? "art-line" : "art-area"}-${tone.toLowerCase()}`;
  const [one, two, three, four, five] = shape.slice(2).split(" ");
  switch (shape.charAt(1)) {
    case "r":
      return <rect className={className} x={one} y={two} width={three} height={four} rx={five} />;
    case "c":
      return <circle className={className} cx={one} cy={two} r={three} />;
    case "e":
      return <ellipse className={className} cx={one} cy={two} rx={three} ry={four} />;
    default:
      return <path className={className} d={shape.slice(1)} />;
  }
}

/** Returns a name's form in class names: `home-office`. */
function slug(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]+/g, "-") || "other";
}
