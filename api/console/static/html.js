// Templates: htm bound to Preact. All that stands between ${ and } becomes text nodes and properties, never markup.

import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
