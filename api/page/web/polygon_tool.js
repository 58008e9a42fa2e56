// A polygon drawn corner by corner on a map: a click adds one, a click on the first one (or Enter) closes it.
import { leaflet as L } from "nicegui-leaflet";

const NEAR_PX = 12; // what a finger hits
const STYLE = { color: "#4da3ff", weight: 2, dashArray: "6 4", interactive: false };

/**
 * Of a map, where `kept` keeps a place within the travel; `done` is called with the corners, [x, y] each.
 * `begun`: corners that were drawn already, on the map that was there before.
 */
export function polygonTool(map, kept, done, begun = []) {
  let corners = begun;
  const drawn = L.layerGroup().addTo(map);
  const place = ([x, y]) => L.latLng(y, x);
  const isAt = (corner, latlng) => map.latLngToContainerPoint(place(corner)).distanceTo(map.latLngToContainerPoint(latlng)) < NEAR_PX;

  function show(pointer) {
    drawn.clearLayers();
    if (!corners.length) return;
    L.polyline([...corners.map(place), ...(pointer ? [pointer] : [])], STYLE).addTo(drawn);
    L.circleMarker(place(corners[0]), { ...STYLE, dashArray: null, radius: NEAR_PX / 2, fillOpacity: 0.6 }).addTo(drawn);
  }
  function close() {
    if (corners.length < 3) return;
    const found = corners;
    clear();
    done(found);
  }
  function clear() {
    corners = [];
    show();
  }
  show();
  return {
    corners: () => corners,
    click(latlng) {
      if (corners.length >= 3 && isAt(corners[0], latlng)) return close();
      if (!corners.length || !isAt(corners.at(-1), latlng)) corners.push(kept(latlng)); // of a double click, one
      show();
    },
    move: show,
    key(key) {
      if (key === "Enter") close();
      if (key === "Backspace") corners.pop();
      show();
    },
    close,
    clear,
  };
}
