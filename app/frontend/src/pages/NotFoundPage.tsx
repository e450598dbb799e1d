import { Link } from "react-router";

import { Empty } from "../components/States";
import { useTitle } from "../navigation";

export function NotFoundPage() {
  useTitle("Nothing here");
  return (
    <Empty
      heading="h1"
      title="There is nothing here"
      text="The address leads nowhere in this shop."
    >
      <Link className="button" to="/">
        To the shop
      </Link>
    </Empty>
  );
}
