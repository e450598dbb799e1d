"use strict";
// Draws the charts with the colours of the page's theme, and again when the theme changes or the
// page is printed. Named colours (ink, bad, point) in the data stand for the theme's.
(() => {
  if (typeof Plotly === "undefined") return;
  const charts = JSON.parse(document.getElementById("chart-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const light = { ink: "#1d2430", soft: "#59636f", grid: "#dfe3e8", paper: "#ffffff", bad: "#b3261e", point: "#3d6fb4" };
  const night = { ink: "#e8ebf0", soft: "#a3adba", grid: "#343b46", paper: "#1a1e25", bad: "#ff8a80", point: "#83a8dc" };

  const paint = (value, theme) => {
    if (Array.isArray(value)) return value.map((v) => paint(v, theme));
    if (value && typeof value === "object") {
      return Object.fromEntries(
        Object.entries(value).map(([key, v]) => [
          key,
          key === "color" && typeof v === "string" && v in theme ? theme[v] : paint(v, theme),
        ]),
      );
    }
    return value;
  };

  const draw = (theme) => {
    for (const place of document.querySelectorAll("[data-chart]")) {
      const chart = paint(charts[place.dataset.chart], theme);
      const axis = { gridcolor: theme.grid, zerolinecolor: theme.grid, linecolor: theme.grid };
      const layout = {
        ...chart.layout,
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: "system-ui, sans-serif", size: 13, color: theme.ink },
        xaxis: { ...chart.layout.xaxis, ...axis, fixedrange: true },
        yaxis: { ...chart.layout.yaxis, ...axis },
        hoverlabel: { bgcolor: theme.paper, bordercolor: theme.soft, font: { color: theme.ink } },
      };
      Plotly.react(place, chart.data, layout, { displayModeBar: false, responsive: true });
    }
  };

  const now = () => draw(dark.matches ? night : light);
  now();
  dark.addEventListener("change", now);
  addEventListener("beforeprint", () => draw(light));
  addEventListener("afterprint", now);
})();
