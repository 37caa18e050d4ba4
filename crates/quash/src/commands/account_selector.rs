//! Arguments that select one account: a name or subject, or a flag for one of name, subject and address.

use clap::Args;

use crate::control::AccountSelector;

/// The account that a command is about.
#[derive(Args)]
#[group(skip)]
pub(super) struct AccountArgs {
    #[command(flatten)]
    id: AccountIdArgs,
    /// The account with this e-mail address
    #[arg(long, group = "account_id", value_name = "E", allow_hyphen_values = true)]
    email: Option<String>,
}

/// The account that a command is about, without `--email`: there, that flag sets the new address.
#[derive(Args)]
#[group(id = "account_id", required = true, multiple = false)]
pub(super) struct AccountIdArgs {
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
pub(super) struct AccountFilter {
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

impl AccountArgs {
    pub(super) fn into_selector(self) -> AccountSelector {
        let Self { id: AccountIdArgs { account, subject, name }, email } = self;
        AccountFilter { account, subject, name, email }.into_selector().unwrap_or_default()
    }
}

impl AccountIdArgs {
    pub(super) fn into_selector(self) -> AccountSelector {
        AccountArgs { id: self, email: None }.into_selector()
    }
}

impl AccountFilter {
    /// Returns the selected account. clap ensures that at most one argument is given.
    pub(super) fn into_selector(self) -> Option<AccountSelector> {
        let Self { account, subject, name, email } = self;
        let given = [
            account.map(AccountSelector::Any),
            subject.map(AccountSelector::Subject),
            name.map(AccountSelector::Name),
            email.map(AccountSelector::Email),
        ];
        given.into_iter().flatten().next()
    }
}
