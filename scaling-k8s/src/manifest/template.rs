//! Signs that a text is no manifest yet, and with what it becomes one.

use std::fmt;

/// Placeholder in a text that a tool has to fill in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateSyntax {
    /// `{{ … }}`, as Helm has it.
    Braces,
    /// `<% … %>`.
    Percent,
    /// `$NAME`, `${NAME}`.
    Variable,
    /// `$(NAME)`, as kustomize has it.
    KustomizeVariable,
    /// An object of kind `Template`, as OpenShift has it.
    Object,
}

impl fmt::Display for TemplateSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Braces => "render it first: helm template (or the tool whose {{ }} these are)",
            Self::Percent => "render it first, with the tool whose <% %> these are",
            Self::Variable => "render it first: envsubst",
            Self::KustomizeVariable => "render it first: kustomize build",
            Self::Object => "render it first: oc process -f FILE",
        })
    }
}

/// The first sign of a template in a text, besides comments, with its line in the text (from 1).
pub(super) fn sign(text: &str) -> Option<(TemplateSyntax, usize, String)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let line = without_comment(line);
        let (syntax, at) = [
            (TemplateSyntax::Braces, line.find("{{").or_else(|| line.find("{%"))),
            (TemplateSyntax::Percent, line.find("<%")),
            (TemplateSyntax::KustomizeVariable, line.find("$(")),
            (TemplateSyntax::Variable, variable(line)),
        ]
        .into_iter()
        .find_map(|(syntax, at)| Some((syntax, at?)))?;
        let excerpt = line.get(at..).unwrap_or_default().trim_end().chars().take(40).collect();
        Some((syntax, index + 1, excerpt))
    })
}

/// Text up to a comment. A `#` within quotes may end it early; then a sign behind it is not seen, and the fault itself is told.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.find(" #").and_then(|at| line.get(..at)).unwrap_or(line)
}

/// `${` or `$` before a letter or `_`.
fn variable(line: &str) -> Option<usize> {
    let begins = |at: &usize| {
        let next = line.get(at + 1..).and_then(|rest| rest.chars().next());
        next.is_some_and(|next| next == '{' || next == '_' || next.is_ascii_alphabetic())
    };
    line.match_indices('$').map(|(at, _)| at).find(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_seen_besides_comments() {
        for (text, found) in [
            ("name: a", None),
            ("# {{ .Values.a }}\nname: a # $NAME", None),
            ("price: 5$", None),
            ("a: 1\nname: {{ .Values.a }}", Some((TemplateSyntax::Braces, 2))),
            ("{% if a %}", Some((TemplateSyntax::Braces, 1))),
            ("<%= a %>", Some((TemplateSyntax::Percent, 1))),
            ("name: ${NAME}", Some((TemplateSyntax::Variable, 1))),
            ("name: $service_name", Some((TemplateSyntax::Variable, 1))),
            ("name: $(NAME)", Some((TemplateSyntax::KustomizeVariable, 1))),
        ] {
            assert_eq!(sign(text).map(|(syntax, line, _)| (syntax, line)), found, "{text}");
        }
    }
}
