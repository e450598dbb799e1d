import { type SubmitEvent, useId } from "react";
import { Link, NavLink, useLocation, useNavigate, useSearchParams } from "react-router";

import { LIMITS } from "../api/contract";
import { itemCount } from "../cart";
import { useOnline, useShop, useVisitor } from "../context";
import { count } from "../format";
import { pageSearch } from "../navigation";
import { useCart } from "../queries";
import { CartIcon, Logo, PersonIcon, ReceiptIcon, SearchIcon } from "./Icons";

export function SiteHeader() {
  const items = itemCount(useCart().data?.cart);
  const online = useOnline();
  return (
    <header className="site-header">
      <a className="skip-link" href="#content">
        Skip to the content
      </a>
      <div className="site-bar">
        <Link className="brand" to="/" aria-label="Triptych, to the shop">
          <Logo />
          <span>Triptych</span>
        </Link>
        <SearchForm />
        <nav className="site-nav" aria-label="Yours">
          <Account />
          <NavLink to="/cart" aria-label={`Cart, ${count(items, "item")}`}>
            <CartIcon />
            <span className="nav-text">Cart</span>
            {items > 0 && (
              <span className="cart-count" aria-hidden="true">
                {items}
              </span>
            )}
          </NavLink>
        </nav>
      </div>
      {!online && (
        <p className="offline" role="status">
          You are offline. What you see may be old, and changes have to wait.
        </p>
      )}
    </header>
  );
}

function Account() {
  const visitor = useVisitor();
  const { session } = useShop();
  const navigate = useNavigate();
  const { pathname, search } = useLocation();
  if (!visitor.signedIn) {
    const from = pathname === "/login" || pathname === "/register" ? "/" : pathname + search;
    return (
      <NavLink to="/login" state={{ from }} aria-label="Log in">
        <PersonIcon />
        <span className="nav-text">Log in</span>
      </NavLink>
    );
  }
  const leave = () => {
    void navigate("/");
    // Here it is over whatever the shop says; there, the token runs out by itself.
    session.logOut().catch(() => undefined);
  };
  return (
    <>
      <NavLink to="/orders" aria-label="Orders">
        <ReceiptIcon />
        <span className="nav-text">Orders</span>
      </NavLink>
      <button
        type="button"
        onClick={leave}
        aria-label={`Log out ${visitor.email}`}
        title={visitor.email}
      >
        <PersonIcon />
        <span className="nav-text">Log out</span>
      </button>
    </>
  );
}

function SearchForm() {
  const id = useId();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const [search] = useSearchParams();
  const query = pathname === "/" ? (search.get("q") ?? "") : "";
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const text = new FormData(event.currentTarget).get("q");
    void navigate(`/${pageSearch(typeof text === "string" ? text.trim() : "", 1)}`);
  };
  return (
    <form role="search" className="search" onSubmit={submit}>
      <label htmlFor={id} className="visually-hidden">
        Search the shop
      </label>
      {/* The key gives the field the words of the page that one goes back to. */}
      <input
        key={query}
        id={id}
        name="q"
        type="search"
        defaultValue={query}
        maxLength={LIMITS.query}
        placeholder="Search ten thousand things"
        autoComplete="off"
      />
      <button type="submit" aria-label="Search">
        <SearchIcon />
      </button>
    </form>
  );
}
