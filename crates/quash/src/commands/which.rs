//! Arguments that select one account: a name or subject, or a flag for one of name, subject and address.

use clap::Args;

use crate::control::Which;

/// The account that a command is about.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct WhichArgs {
    /// The account's name or subject; refused if it is the name of one account and the subject of another
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

/// The account to change. There is no `--email` here: it sets the new address.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct WhichToSet {
    /// The account's name or subject; refused if it is the name of one account and the subject of another
    #[arg(value_name = "NAME")]
    account: Option<String>,
    /// The account with this subject
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subject: Option<String>,
    /// The account with this name
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    name: Option<String>,
}

/// The account that a list is restricted to, if any.
#[derive(Args)]
#[group(multiple = false)]
pub(super) struct ListedWhich {
    /// List only entries of this account: its name or subject; refused if it is the name of one account and
    /// the subject of another
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    account: Option<String>,
    /// List only entries of the account with this subject, which may be deleted
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subject: Option<String>,
    /// List only entries of the account with this name
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    name: Option<String>,
    /// List only entries of the account with this e-mail address
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
    /// Returns the selected account. clap ensures that at most one argument is given.
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
