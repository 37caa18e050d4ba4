//! The types of the checks: a rule, and a place that breaks it, as printed.

use std::fmt;

/// A rule of the project.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// The reason for the rule.
    pub(crate) why: &'static str,
    /// The remedy.
    pub(crate) remedy: &'static str,
}

/// A place that breaks a rule.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The file, relative to the root.
    pub(crate) path: String,
    /// The line, from 1.
    pub(crate) line: usize,
    pub(crate) rule: &'static Rule,
    /// The offending text, or its description.
    pub(crate) found: String,
}

impl Rule {
    /// Creates a finding of this rule.
    pub(crate) fn found(&'static self, path: &str, line: usize, found: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, rule: self, found: found.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}: {}: {}", self.path, self.line, self.rule.name, self.found)?;
        writeln!(f, "    why: {}", self.rule.why)?;
        write!(f, "    fix: {}", self.rule.remedy)
    }
}

/// Formats each finding as `rule:line`, for tests.
#[cfg(test)]
pub(crate) fn brief(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{}", finding.rule.name, finding.line)).collect()
}
