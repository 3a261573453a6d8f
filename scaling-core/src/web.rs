//! Looks that the pages of all crates share: their colours, and text that is safe in a page.

/// The colours of a page, as custom properties of CSS: paper, ink, lines and eight series that colour-blind readers tell apart, on light and
/// on dark paper. It stands first in a `<style>`.
pub const PALETTE: &str = include_str!("web/palette.css");

/// A text without the characters that mean something in HTML or in an attribute.
///
/// ```
/// assert_eq!(scaling_core::web::escaped("<a> & \"b\" 'c'"), "&lt;a&gt; &amp; &quot;b&quot; &#39;c&#39;");
/// ```
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
