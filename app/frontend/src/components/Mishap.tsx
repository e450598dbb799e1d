import { Component, type ReactNode } from "react";

import { explain } from "../faults";
import { Empty } from "./States";

/** Stands in for the pages if they fail to draw themselves: a blank page would help nobody. */
export class Mishap extends Component<{ children: ReactNode }, { failed: boolean }> {
  override readonly state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <main id="content">
        <Empty heading="h1" title={explain(null).title} text="Load the page again and go on.">
          <a className="button" href="/">
            To the shop
          </a>
        </Empty>
      </main>
    );
  }
}
