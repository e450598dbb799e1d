import { useEffect, useRef, useState } from "react";
import { Link, useLocation, useNavigate, useParams } from "react-router";

import { ShopError } from "../api/client";
import { LIMITS, type Product } from "../api/contract";
import { ErrorNotice, Notice } from "../components/Notice";
import { ProductArt } from "../components/ProductArt";
import { FEW, ProductCard } from "../components/ProductCard";
import { QuantityField } from "../components/QuantityField";
import { Failed, Loading } from "../components/States";
import { useVisitor } from "../context";
import { count, formatMoney } from "../format";
import { pageSearch, useTitle } from "../navigation";
import { useAddToCart, useProduct, useProducts } from "../queries";

export function ProductPage() {
  const { productId = "" } = useParams();
  // What is no id of the contract is no product either; the shop need not be asked.
  const id = /^[1-9][0-9]{0,9}$/.test(productId) ? Number(productId) : Number.NaN;
  const product = useProduct(id);
  useTitle(product.data?.name ?? "Product");
  if (Number.isNaN(id)) {
    return (
      <Failed
        error={new ShopError("product-not-found", 404)}
        retry={product.refetch}
        title="Product"
      />
    );
  }
  if (product.isPending) {
    return (
      <Loading what="the product" reason={product.failureReason} title="Product">
        <div className="product">
          <div className="product-art skeleton" />
          <div>
            <div className="skeleton skeleton-line" />
            <div className="skeleton skeleton-line short" />
          </div>
        </div>
      </Loading>
    );
  }
  if (product.isError)
    return <Failed error={product.error} retry={product.refetch} title="Product" />;
  return (
    <>
      <Details key={id} product={product.data} />
      <Related product={product.data} />
    </>
  );
}

function Details({ product }: { product: Product }) {
  const { id, name, category, description, price, sku, stock } = product;
  return (
    <>
      <nav aria-label="Where this is" className="trail">
        <Link to="/">Shop</Link>
        <span aria-hidden="true">/</span>
        <Link to={`/${pageSearch(category, 1)}`}>{category}</Link>
      </nav>
      <article className="product">
        <div className="product-art">
          <ProductArt id={id} name={name} category={category} label={`Drawing: ${name}`} />
        </div>
        <div className="product-words">
          <h1>{name}</h1>
          <p className="price price-large">{formatMoney(price)}</p>
          <p className="lead">{description}</p>
          <Buy product={product} />
          <dl className="facts">
            <div>
              <dt>Department</dt>
              <dd>{category}</dd>
            </div>
            <div>
              <dt>Article</dt>
              <dd>{sku}</dd>
            </div>
            <div>
              <dt>In stock</dt>
              <dd>{stock > 1000 ? "more than 1,000" : stock}</dd>
            </div>
          </dl>
        </div>
      </article>
    </>
  );
}

/** What the log-in page hands back: somebody was about to put this many into the cart. */
interface Intent {
  add?: number;
}

function Buy({ product: { id, name, stock } }: { product: Product }) {
  const visitor = useVisitor();
  const navigate = useNavigate();
  const location = useLocation();
  const intent = (location.state as Intent | null)?.add;
  const [quantity, setQuantity] = useState(intent ?? 1);
  const { mutate, isPending, error, data } = useAddToCart();

  // Back from logging in: do what was wanted, once.
  const resumed = useRef(false);
  useEffect(() => {
    if (!intent || !visitor.signedIn || resumed.current) return;
    resumed.current = true;
    void navigate(".", { replace: true, state: null });
    mutate({ productId: id, quantity: intent });
  }, [id, intent, mutate, navigate, visitor.signedIn]);

  const add = () => {
    if (isPending) return;
    if (visitor.signedIn) {
      mutate({ productId: id, quantity });
    } else {
      void navigate("/login", {
        state: { from: location.pathname, add: quantity, reason: "cart" },
      });
    }
  };

  if (stock === 0) {
    return (
      <p className="stock stock-none">
        <strong>Sold out.</strong> There is none left at present.
      </p>
    );
  }
  return (
    <div className="buy">
      <p className={stock <= FEW ? "stock stock-few" : "stock"}>
        {stock <= FEW ? `Only ${stock} left` : "In stock, ready to go"}
      </p>
      <div className="buy-row">
        <QuantityField
          value={quantity}
          onChange={setQuantity}
          max={Math.min(stock, LIMITS.quantity)}
        />
        <button type="button" className="button" onClick={add} aria-disabled={isPending}>
          {isPending ? "Adding…" : "Add to cart"}
        </button>
      </div>
      {error && <ErrorNotice error={error} />}
      {data && (
        <Notice tone="good">
          <p>
            {data.added > 0
              ? `${count(data.added, "piece")} added; your cart holds ${data.held} of this.`
              : `Your cart holds ${data.held} of this already, which is as many as it can.`}{" "}
            <Link to="/cart">
              Go to the cart<span className="visually-hidden">, which now holds {name}</span>
            </Link>
          </p>
        </Notice>
      )}
    </div>
  );
}

function Related({ product: { id, category } }: { product: Product }) {
  const { data } = useProducts(category, 1 + (id % 20), 5);
  const others = (data?.items ?? []).filter((other) => other.id !== id).slice(0, 4);
  if (others.length === 0) return null;
  return (
    <section className="shelf" aria-labelledby="related">
      <div className="shelf-head">
        <h2 id="related">More from {category}</h2>
      </div>
      <div className="grid grid-short">
        {others.map((other) => (
          <ProductCard key={other.id} product={other} />
        ))}
      </div>
    </section>
  );
}
