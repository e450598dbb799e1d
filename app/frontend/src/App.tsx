import type { ReactNode } from "react";
import { Navigate, Route, Routes, useLocation } from "react-router";

import { SiteHeader } from "./components/SiteHeader";
import { useVisitor } from "./context";
import { Announcer, RouteFocus } from "./navigation";
import { CartPage } from "./pages/CartPage";
import { CataloguePage } from "./pages/CataloguePage";
import { CheckoutPage } from "./pages/CheckoutPage";
import { LogInPage } from "./pages/LogInPage";
import { NotFoundPage } from "./pages/NotFoundPage";
import { OrderPage } from "./pages/OrderPage";
import { OrdersPage } from "./pages/OrdersPage";
import { ProductPage } from "./pages/ProductPage";
import { RegisterPage } from "./pages/RegisterPage";

/** The whole shop below a router. */
export function App() {
  return (
    <>
      <RouteFocus />
      <Announcer />
      <SiteHeader />
      <main id="content" tabIndex={-1}>
        <Routes>
          <Route path="/" element={<CataloguePage />} />
          <Route path="/products/:productId" element={<ProductPage />} />
          <Route path="/login" element={<LogInPage />} />
          <Route path="/register" element={<RegisterPage />} />
          <Route path="/cart" element={<Members>{() => <CartPage />}</Members>} />
          <Route
            path="/checkout"
            element={<Members>{(userId) => <CheckoutPage key={userId} userId={userId} />}</Members>}
          />
          <Route path="/orders" element={<Members>{() => <OrdersPage />}</Members>} />
          <Route path="/orders/:orderId" element={<Members>{() => <OrderPage />}</Members>} />
          <Route path="*" element={<NotFoundPage />} />
        </Routes>
      </main>
      <footer className="site-footer">
        <p>Triptych, a shop that is deployed three ways and measured.</p>
      </footer>
    </>
  );
}

/** Pages for those who are logged in; others log in first and come back. */
function Members({ children }: { children: (userId: string) => ReactNode }) {
  const visitor = useVisitor();
  const { pathname, search } = useLocation();
  if (visitor.signedIn) return children(visitor.userId);
  const reason = visitor.expired ? "expired" : "page";
  return <Navigate to="/login" replace state={{ from: pathname + search, reason }} />;
}
