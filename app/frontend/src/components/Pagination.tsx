import { Link } from "react-router";

import { formatNumber } from "../format";

interface Props {
  label: string;
  page: number;
  pages: number;
  target: (page: number) => string;
}

/** Links to the pages around this one, the first and the last. */
export function Pagination({ label, page, pages, target }: Props) {
  if (pages < 2) return null;
  const shown = [...new Set([1, page - 1, page, page + 1, pages])].filter(
    (number) => number >= 1 && number <= pages,
  );
  return (
    <nav className="pagination" aria-label={label}>
      <Step to={page > 1 ? target(page - 1) : null} rel="prev">
        Previous
      </Step>
      <ol>
        {shown.map((number, index) => (
          <li key={number} className={number - (shown[index - 1] ?? number - 1) > 1 ? "gap" : ""}>
            <Link
              to={target(number)}
              aria-current={number === page ? "page" : undefined}
              aria-label={`Page ${number}`}
            >
              {formatNumber(number)}
            </Link>
          </li>
        ))}
      </ol>
      <Step to={page < pages ? target(page + 1) : null} rel="next">
        Next
      </Step>
    </nav>
  );
}

function Step({ to, rel, children }: { to: string | null; rel: string; children: string }) {
  if (to === null) return <span className="button button-quiet is-off">{children}</span>;
  return (
    <Link className="button button-quiet" to={to} rel={rel}>
      {children}
    </Link>
  );
}
