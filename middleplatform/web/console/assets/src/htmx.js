// Its settings stand in the page's meta element "htmx-config": no evaluation of text, no style of its own.
import "htmx.org";
