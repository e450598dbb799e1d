import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";

import { App } from "./App";
import { Session } from "./api/session";
import { Shop } from "./api/shop";
import { Mishap } from "./components/Mishap";
import { ShopProvider } from "./context";
import { createQueryClient } from "./queries";
import { StorageProvider, browserStorage } from "./storage";
import "./styles/index.css";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no root");
const storage = browserStorage();

createRoot(root).render(
  <StrictMode>
    <StorageProvider value={storage}>
      <ShopProvider shop={new Shop(new Session(storage))}>
        <QueryClientProvider client={createQueryClient()}>
          <BrowserRouter>
            <Mishap>
              <App />
            </Mishap>
          </BrowserRouter>
        </QueryClientProvider>
      </ShopProvider>
    </StorageProvider>
  </StrictMode>,
);
