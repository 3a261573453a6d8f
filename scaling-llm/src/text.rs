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

/// Line separators, zero-width, bidirectional, variation, filler, private and tag characters: invisible, yet they change what is
/// read, or show as whatever a font makes of them.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{E000}'..='\u{F8FF}'
            | '\u{FDD0}'..='\u{FDEF}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{FFFE}' | '\u{FFFF}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{10FFFF}'
    )
}
