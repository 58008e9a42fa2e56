// The tiles of one layer of a mosaic, in Leaflet: each is fetched when it was drawn, and again when it was drawn anew.
import { leaflet as L } from "nicegui-leaflet";
import { get, url } from "./rest.js";

const SMALLER = 6; // zoom steps below the coarsest level
export const LARGER = 4; // and beyond the finest

const MosaicTiles = L.GridLayer.extend({
  initialize(run, layer, finest, options) {
    this._root = `/runs/${encodeURIComponent(run)}/mosaic/${layer}`;
    this._finest = finest; // the zoom step that shows level 0 pixel by pixel
    this._drawn = new Map();
    L.setOptions(this, { minNativeZoom: 0, maxNativeZoom: finest, minZoom: -SMALLER, maxZoom: finest + LARGER, ...options });
  },

  createTile(at, done) {
    const image = document.createElement("img");
    image.alt = "";
    image.onerror = () => delete image.dataset.version; // too much was asked for at once, or the service is gone: again
    this._show(image, at).then(() => done(null, image));
    return image;
  },

  /** A pixel wider than the grid: between tiles that are shown at a fraction of their size, no line is left. */
  _initTile(image) {
    L.GridLayer.prototype._initTile.call(this, image);
    const side = this.getTileSize();
    image.style.width = `${side.x + 1}px`;
    image.style.height = `${side.y + 1}px`;
  },

  /** Fetch what has been drawn, or drawn anew, in what is in view. */
  async refresh() {
    this._drawn.clear();
    const inView = Object.values(this._tiles ?? {}).filter((tile) => tile.current);
    await Promise.all(inView.map((tile) => this._show(tile.el, tile.coords)));
  },

  async _show(image, at) {
    const level = this._finest - at.z;
    const version = (await this._versions(level))?.of(at.y, at.x);
    if (!version || version === image.dataset.version) return;
    image.dataset.version = version;
    image.src = url(`${this._root}/${level}/${at.y}/${at.x}.jpg?blank=true&version=${version}`);
  },

  /** When each block of a level was drawn; null if that cannot be told just now. */
  _versions(level) {
    if (!this._drawn.has(level)) {
      const asked = get(`${this._root}/${level}`).then(
        ({ block_tiles: side, blocks }) => ({
          of: (row, column) => blocks[`${Math.floor(row / side)}/${Math.floor(column / side)}`],
        }),
        () => null,
      );
      this._drawn.set(level, asked);
    }
    return this._drawn.get(level);
  },
});

export const mosaicTiles = (...given) => new MosaicTiles(...given);
