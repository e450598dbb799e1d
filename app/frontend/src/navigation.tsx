import { useEffect, useRef } from "react";
import { NavigationType, useLocation, useNavigationType } from "react-router";

import { announce, useAnnouncement } from "./announcer";

/** Names the page in the browser's title, and to those who cannot see that it has changed. */
export function useTitle(title: string): void {
  useEffect(() => {
    const full = title ? `${title} · Triptych` : "Triptych";
    if (document.title === full) return;
    document.title = full;
    if (moved) announce(title || "Triptych");
  }, [title]);
}

/** Whether the page has changed since the browser loaded it, which it announces by itself. */
let moved = false;

/** Moves the keyboard's focus to the new page's content, and the view to its top. */
export function RouteFocus() {
  const { pathname } = useLocation();
  const kind = useNavigationType();
  const shown = useRef(pathname);
  useEffect(() => {
    if (shown.current === pathname) return;
    shown.current = pathname;
    moved = true;
    document.getElementById("content")?.focus({ preventScroll: true });
    // Going back, the browser restores where one was.
    if (kind !== NavigationType.Pop) window.scrollTo(0, 0);
  }, [pathname, kind]);
  return null;
}

/** Where announcements are spoken from. */
export function Announcer() {
  return (
    <p className="visually-hidden" role="status" id="announcer">
      {useAnnouncement()}
    </p>
  );
}

/** Returns a link's target for a page of results. */
export function pageSearch(query: string, page: number): string {
  const search = new URLSearchParams();
  if (query) search.set("q", query);
  if (page > 1) search.set("page", String(page));
  const text = search.toString();
  return text ? `?${text}` : "";
}

/** Returns the number in a `page` parameter, 1 for anything else. */
export function readPage(search: URLSearchParams, last: number): number {
  const text = search.get("page") ?? "1";
  return /^[0-9]{1,6}$/.test(text) ? Math.min(Math.max(Number(text), 1), last) : 1;
}
