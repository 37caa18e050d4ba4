//! Arguments that name one account: by its name or subject, or by a flag that says which of these it is.

use clap::Args;

use crate::control::Which;

/// An account, named in one of four ways.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct WhichArgs {
    /// Its name or subject; refused if these are of two accounts
    #[arg(value_name = "NAME")]
    account: Option<String>,
    /// The account with this subject
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subject: Option<String>,
    /// The account with this name
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    name: Option<String>,
    /// The account with this e-mail address
    #[arg(long, value_name = "E", allow_hyphen_values = true)]
    email: Option<String>,
}

/// An account to be changed: `--email` is its new address.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct WhichToSet {
    /// Its name or subject; refused if these are of two accounts
    #[arg(value_name = "NAME")]
    account: Option<String>,
    /// The account with this subject
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subject: Option<String>,
    /// The account with this name
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    name: Option<String>,
}

/// The account that a list is about, if it is about one.
#[derive(Args)]
#[group(multiple = false)]
pub(super) struct ListedWhich {
    /// Only what concerns this account: its name or subject; refused if these are of two accounts
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    account: Option<String>,
    /// Only what concerns the account with this subject, which may be deleted
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Only what concerns the account with this name
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    name: Option<String>,
    /// Only what concerns the account with this e-mail address
    #[arg(long, value_name = "E", allow_hyphen_values = true)]
    email: Option<String>,
}

impl WhichArgs {
    pub(super) fn into_which(self) -> Which {
        let Self { account, subject, name, email } = self;
        ListedWhich { account, subject, name, email }.into_which().unwrap_or_default()
    }
}

impl WhichToSet {
    pub(super) fn into_which(self) -> Which {
        let Self { account, subject, name } = self;
        ListedWhich { account, subject, name, email: None }.into_which().unwrap_or_default()
    }
}

impl ListedWhich {
    /// The one that is given, which clap sees to; `None`: none is.
    pub(super) fn into_which(self) -> Option<Which> {
        let Self { account, subject, name, email } = self;
        let given = [
            account.map(Which::Any),
            subject.map(Which::Subject),
            name.map(Which::Name),
            email.map(Which::Email),
        ];
        given.into_iter().flatten().next()
    }
}
