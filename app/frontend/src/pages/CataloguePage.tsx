import { useEffect, useRef } from "react";
import { Link, useSearchParams } from "react-router";

import { LIMITS } from "../api/contract";
import { announce } from "../announcer";
import { Pagination } from "../components/Pagination";
import { ProductArt } from "../components/ProductArt";
import { CardSkeletons, ProductCard } from "../components/ProductCard";
import { Empty, Failed, Loading } from "../components/States";
import { count, formatNumber } from "../format";
import { pageSearch, readPage, useTitle } from "../navigation";
import { useProducts } from "../queries";

const PAGE_SIZE = 24;

/** Departments with a picture each; the search knows them by their names. */
const DEPARTMENTS = [
  ["Kitchen", "Kettle"],
  ["Home Office", "Desk Lamp"],
  ["Outdoor", "Tent"],
  ["Sport", "Kettlebell"],
  ["Garden", "Plant Pot"],
  ["Audio", "Headphones"],
  ["Children", "Kite"],
  ["Textiles", "Cushion Cover"],
] as const;

export function CataloguePage() {
  const [search] = useSearchParams();
  const query = (search.get("q") ?? "").trim().slice(0, LIMITS.query);
  const page = readPage(search, LIMITS.page);
  const products = useProducts(query, page, PAGE_SIZE);
  const { data } = products;
  const home = query === "" && page === 1;
  const pages = data ? Math.ceil(data.total / PAGE_SIZE) : 0;
  const found = data && describe(query, data.total);
  useTitle([query && `“${query}”`, page > 1 && `Page ${page}`].filter(Boolean).join(", "));

  const heading = useRef<HTMLHeadingElement>(null);
  const shown = useRef(search);
  useEffect(() => {
    // Another page of the same catalogue: go to where it begins, and wait until it is there.
    if (shown.current === search || !found || products.isPlaceholderData) return;
    shown.current = search;
    heading.current?.focus({ preventScroll: true });
    heading.current?.scrollIntoView({ block: "start" });
    announce(page > 1 ? `${found}, page ${page} of ${pages}` : found);
  }, [search, found, page, pages, products.isPlaceholderData]);

  return (
    <>
      {home && <Hero />}
      <section className="shelf" aria-labelledby="shelf-heading">
        <Departments current={query} />
        <div className="shelf-head">
          {home ? (
            <h2 ref={heading} id="shelf-heading" tabIndex={-1}>
              Everything
            </h2>
          ) : (
            <h1 ref={heading} id="shelf-heading" tabIndex={-1}>
              {query ? <>Results for “{query}”</> : "Everything"}
            </h1>
          )}
          {data && (
            <p>
              {count(data.total, "product")}
              {pages > 1 && `, page ${formatNumber(page)} of ${formatNumber(pages)}`}
            </p>
          )}
        </div>
        {products.isPending || (products.isPlaceholderData && products.isPaused) ? (
          <Loading what="products" reason={products.failureReason}>
            <CardSkeletons count={8} />
          </Loading>
        ) : !products.data ? (
          <Failed error={products.error} retry={products.refetch} />
        ) : products.data.items.length === 0 ? (
          <Nothing query={query} total={products.data.total} />
        ) : (
          <div className="grid" aria-busy={products.isPlaceholderData}>
            {products.data.items.map((product) => (
              <ProductCard key={product.id} product={product} heading={home ? "h3" : "h2"} />
            ))}
          </div>
        )}
        <Pagination
          label="Pages of products"
          page={page}
          pages={pages}
          target={(number) => `/${pageSearch(query, number)}`}
        />
      </section>
    </>
  );
}

function describe(query: string, total: number): string {
  return query ? `${count(total, "product")} for “${query}”` : count(total, "product");
}

function Nothing({ query, total }: { query: string; total: number }) {
  if (total > 0) {
    return (
      <Empty title="The shelf ends before this page" text="There are fewer pages than that.">
        <Link className="button" to={`/${pageSearch(query, 1)}`}>
          To the first page
        </Link>
      </Empty>
    );
  }
  return (
    <Empty
      title={`Nothing for “${query}”`}
      text="Every word has to occur in a product's name, department or description. Try fewer, or others."
    >
      <Link className="button" to="/">
        Show everything
      </Link>
    </Empty>
  );
}

function Hero() {
  return (
    <section className="hero">
      <div className="hero-words">
        <h1>Made to be used, not to be looked at.</h1>
        <p>
          Ten thousand plain and lasting things for the kitchen, the garden, the desk and the road.
        </p>
        <div className="actions">
          <a className="button" href="#shelf-heading">
            Look around
          </a>
        </div>
      </div>
      <div className="hero-art" aria-hidden="true">
        <div>
          <ProductArt id={34} name="Pepper Mill" />
        </div>
        <div>
          <ProductArt id={34} name="Plant Pot" />
        </div>
        <div>
          <ProductArt id={34} name="Bookshelf Speaker" />
        </div>
      </div>
    </section>
  );
}

function Departments({ current }: { current: string }) {
  return (
    <nav className="departments" aria-label="Departments">
      <ul>
        {DEPARTMENTS.map(([name, kind]) => (
          <li key={name}>
            <Link
              to={`/${pageSearch(name, 1)}`}
              aria-current={current.toLowerCase() === name.toLowerCase() ? "true" : undefined}
            >
              <ProductArt id={13} name={kind} />
              <span>{name}</span>
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
