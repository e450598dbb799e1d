/** The few signs of the shop, drawn in the colour of the text around them. */

export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 28 24" aria-hidden="true">
      <path d="M0 24V10a4 4 0 0 1 8 0v14zM20 24V10a4 4 0 0 1 8 0v14z" opacity=".55" />
      <path d="M10 24V4a4 4 0 0 1 8 0v20z" />
    </svg>
  );
}

function Icon({ path }: { path: string }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

export const SearchIcon = () => (
  <Icon path="M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5 21 21" />
);
export const CartIcon = () => <Icon path="M5 8h14l-1.2 12H6.2zM9 8V7a3 3 0 0 1 6 0v1" />;
export const PersonIcon = () => (
  <Icon path="M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM4 21c0-4.5 3.5-6 8-6s8 1.5 8 6" />
);
export const ReceiptIcon = () => <Icon path="M6 3h12v18l-3-2-3 2-3-2-3 2zM9.5 8h5M9.5 12h5" />;
export const CardIcon = () => <Icon path="M3 6h18v12H3zM3 10h18M6.5 14.5h4" />;
export const CheckIcon = () => <Icon path="M5 12.5 10 17.5 19 7" />;
export const WarningIcon = () => <Icon path="M12 4 22 20H2zM12 10v5M12 17.600v.1" />;
export const BinIcon = () => <Icon path="M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13" />;
