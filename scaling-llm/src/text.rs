//! Text from strangers, before it goes into a record, a log or a prompt.

/// One line of printable text, at most `longest` characters: control characters and what reorders or hides text become spaces.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() || is_format(c) { ' ' } else { c });
    let mut line = String::new();
    for (nth, c) in clean.enumerate() {
        if nth == longest {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line.trim().to_owned()
}

/// Line separators, zero-width, bidirectional, variation and tag characters: invisible, yet they change what is read.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// A name as data: `A-Z a-z 0-9 . _ / -` stay, anything else becomes `_`, at most 63 of them. What is left can end no quote, and
/// has no spaces to make a sentence with.
pub(crate) fn plain_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._/-".contains(c) { c } else { '_' };
    name.chars().take(63).map(allowed).collect()
}
