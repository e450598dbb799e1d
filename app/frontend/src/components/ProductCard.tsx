import { Link } from "react-router";

import type { Product } from "../api/contract";
import { formatMoney } from "../format";
import { ProductArt } from "./ProductArt";

export const FEW = 20;

interface Props {
  product: Product;
  /** The level below that of the shelf's own heading. */
  heading?: "h2" | "h3";
}

/** A product on the shelf; all of it is one link. */
export function ProductCard({ product, heading: Heading = "h3" }: Props) {
  const { id, name, category, price, stock } = product;
  return (
    <article className={stock === 0 ? "card card-gone" : "card"}>
      <div className="card-art">
        <ProductArt id={id} name={name} category={category} />
        {stock === 0 && <span className="badge">Sold out</span>}
        {stock > 0 && stock <= FEW && <span className="badge">Only {stock} left</span>}
      </div>
      <p className="card-category">{category}</p>
      <Heading className="card-name">
        <Link to={`/products/${id}`}>{name}</Link>
      </Heading>
      <p className="price">{formatMoney(price)}</p>
    </article>
  );
}

/** Stands in for cards that are on their way. */
export function CardSkeletons({ count }: { count: number }) {
  return (
    <div className="grid">
      {Array.from({ length: count }, (_, index) => (
        <div key={index} className="card">
          <div className="card-art skeleton" />
          <div className="skeleton skeleton-line" />
          <div className="skeleton skeleton-line short" />
        </div>
      ))}
    </div>
  );
}
