//! Executes requests: calls the service's use case for each.

use std::path::Path;

use quash_core::decide::{NameRevocation, RevokedKeySessions, RevokedName};
use quash_core::model::{Actor, EndCause, Reason, Seq, SessionId, fold, limits};
use quash_core::token::{Duplicates, Unverified, parse_json};
use quash_service::{
    AddFault, Ended, Inspection, NewAccount, NewState, Service, SessionFilter, Takeover, TokenStatus,
};
use serde_json::{Map, Value};

use super::lookup::{self, account, failed, is_full, shown_end};
use super::replies::{
    AccountPage, AccountShown, AddedShown, BackedUpShown, EffectiveShown, EndedShown, InspectionShown,
    KeysShown, PolicyShown, RevokedShown, SessionPage, SessionShown,
};
use super::{
    AccountSelector, AddAccount, GivenPassword, NameSelector, Reply, Request, account_changes, audit,
    clients, keys, messages, nodes, provision,
};
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// Executes a request. `author` is the system user that runs the command.
///
/// # Errors
/// The request fails. The error is written for the operator.
pub(crate) async fn execute(
    service: &Service,
    request: Request,
    author: Option<String>,
) -> Result<Reply, CommandError> {
    match request {
        Request::AddAccount(new) => add_account(service, new).await.map(Reply::Account),
        Request::AddAccounts { accounts } => add_accounts(service, accounts).await.map(Reply::AddedAccounts),
        Request::ProvisionAccounts { accounts, dry_run } => {
            provision::accounts(service, accounts, dry_run, author).await.map(Reply::ProvisionedAccounts)
        }
        Request::RevokeTokens { namespace, tokens } => {
            provision::revoke_tokens(service, &namespace, tokens).await.map(Reply::Ended)
        }
        Request::Accounts { after, limit } => accounts(service, after, limit).await.map(Reply::Accounts),
        Request::Account { which } => {
            let account = account(service, &which).await?;
            Ok(Reply::Account(AccountShown::new(&account, service.now())))
        }
        Request::ChangeAccount { which, change, reason } => {
            account_changes::change(service, &which, change, reason, author).await
        }
        Request::Policy => Ok(Reply::Policy(PolicyShown::new(service.policy()))),
        Request::Sessions { which, after, limit } => {
            sessions(service, &which, after.as_deref(), limit).await.map(Reply::Sessions)
        }
        Request::EndSession { sid } => end_session(service, &sid, Reason::Ended).await.map(Reply::Ended),
        Request::RevokeSession { sid } => end_session(service, &sid, Reason::Revoked).await.map(Reply::Ended),
        Request::RevokeAccount { which } => {
            let account = account(service, &which).await?;
            let before = lookup::live_sessions(service, &account.subject).await?;
            let ended =
                service.end_account(&account.subject, EndCause::AccountRevoked, Actor::Operator).await;
            let ended = ended.map_err(|failure| messages::not_ended("account", &failure))?;
            lookup::shown_end_of(service, &account, before, ended).await.map(Reply::Ended)
        }
        Request::RevokeEverything => {
            let ended = service.end_everything(Reason::Revoked, Actor::Operator).await;
            let ended = ended.map_err(|failure| messages::not_ended("everything", &failure))?;
            Ok(Reply::Ended(shown_end(service, "everything", None, ended)))
        }
        Request::RevokeName { namespace, name } => {
            revoke_name(service, &namespace, name).await.map(Reply::Ended)
        }
        Request::Effective { seq } => {
            let effective =
                service.effective(Seq::from_u64(seq)).await.map_err(|failure| failed(&failure))?;
            Ok(Reply::Effective(EffectiveShown::new(&effective)))
        }
        Request::BackUp { to } => back_up(service, to).await.map(Reply::BackedUp),
        Request::Nodes => nodes::execute(service).await.map(Reply::Nodes),
        Request::StoreFacts => service
            .store_facts()
            .await
            .map(|facts| Reply::StoreFacts(Box::new(facts)))
            .map_err(|failure| failed(&failure)),
        Request::Keys => service
            .keys()
            .await
            .map(|keys| Reply::Keys(KeysShown::new(&keys)))
            .map_err(|failure| failed(&failure)),
        Request::Clients(request) => clients::execute(service, request, author).await.map(Reply::Clients),
        Request::RotateKey { now } => {
            keys::rotate(service, if now { Takeover::Now } else { Takeover::Announced })
                .await
                .map(Reply::ChangedKey)
        }
        Request::RetireKey { kid } => keys::retire(service, &kid).await.map(Reply::ChangedKey),
        Request::RevokeKey { kid, end_sessions } => {
            let sessions = if end_sessions { RevokedKeySessions::End } else { RevokedKeySessions::Continue };
            keys::revoke(service, &kid, sessions).await.map(Reply::RevokedKey)
        }
        Request::Audit(request) => audit::execute(service, request, author).await.map(Reply::Audit),
        Request::InspectToken { token } => {
            inspect(service, &token).await.map(|inspection| Reply::Inspection(Box::new(inspection)))
        }
    }
}

async fn add_account(service: &Service, new: AddAccount) -> Result<AccountShown, CommandError> {
    let account = service.add_account(as_new(new)).await.map_err(|fault| messages::not_added(&fault))?;
    Ok(AccountShown::new(&account, service.now()))
}

fn as_new(new: AddAccount) -> NewAccount {
    let AddAccount { name, email, verified, subject, password, deactivated, claims } = new;
    let state = if deactivated { NewState::Deactivated } else { NewState::Active };
    NewAccount {
        name,
        email,
        verified,
        subject,
        password: password.map(GivenPassword::into_new),
        state,
        claims,
    }
}

/// Adds all accounts concurrently, so that the store writes them in one transaction.
async fn add_accounts(service: &Service, accounts: Vec<AddAccount>) -> Result<Vec<AddedShown>, CommandError> {
    let adding: Vec<_> = accounts
        .into_iter()
        .map(|new| {
            let service = service.clone();
            tokio::spawn(async move { add_one_of_many(&service, new).await })
        })
        .collect();
    let mut added = Vec::with_capacity(adding.len());
    for task in adding {
        added.push(
            task.await
                .map_err(|error| CommandError::failure(format!("failed to add an account: {error}")))?,
        );
    }
    added.into_iter().collect()
}

async fn add_one_of_many(service: &Service, new: AddAccount) -> Result<AddedShown, CommandError> {
    let (name, subject) = (fold(&new.name), new.subject.clone());
    match service.import_account(as_new(new)).await {
        Ok((_, None)) => Ok(AddedShown::Added),
        Ok((_, Some(warning))) => Ok(AddedShown::AddedBut(warning.to_string())),
        Err(AddFault::Failed(failure)) => {
            Err(failed(&failure).hint("some of the accounts may have been added: check, and try again"))
        }
        Err(fault @ AddFault::Taken) => {
            let there = match subject {
                Some(subject) => lookup::by_subject(service, &subject).await?,
                None => None,
            };
            let is_present = there.is_some_and(|account| account.username.folded() == name);
            Ok(if is_present { AddedShown::Present } else { AddedShown::Refused(fault.to_string()) })
        }
        Err(fault) => {
            let error = messages::not_added(&fault);
            let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            Ok(AddedShown::Refused(format!("{}{hint}", error.message)))
        }
    }
}

async fn back_up(service: &Service, to: String) -> Result<BackedUpShown, CommandError> {
    let written = service.back_up(Path::new(&to)).await.map_err(|fault| messages::not_backed_up(&fault))?;
    Ok(BackedUpShown { path: to, seq: written.seq.as_u64() })
}

async fn accounts(service: &Service, after: Option<String>, limit: u32) -> Result<AccountPage, CommandError> {
    let after = after.as_deref().map(fold);
    let accounts = service.accounts(after.as_deref(), limit).await.map_err(|failure| failed(&failure))?;
    let now = service.now();
    let accounts: Vec<_> = accounts.iter().map(|account| AccountShown::new(account, now)).collect();
    let next = accounts.last().filter(|_| is_full(accounts.len(), limit)).map(|account| account.name.clone());
    Ok(AccountPage { accounts, next })
}

async fn sessions(
    service: &Service,
    which: &AccountSelector,
    after: Option<&str>,
    limit: u32,
) -> Result<SessionPage, CommandError> {
    let after = after.map(session_id).transpose()?;
    let account = account(service, which).await?;
    let seen = service
        .sessions(&account, SessionFilter::All, after, limit)
        .await
        .map_err(|failure| failed(&failure))?;
    let sessions = seen.sessions.iter().map(SessionShown::new).collect();
    let next = seen.next.map(|sid| sid.to_string());
    Ok(SessionPage { sessions, next })
}

async fn end_session(service: &Service, sid: &str, reason: Reason) -> Result<EndedShown, CommandError> {
    let session = session_id(sid)?;
    let ended = service.end_session(session, reason, Actor::Operator).await;
    let ended = ended.map_err(|failure| messages::not_ended(&format!("session {session}"), &failure))?;
    Ok(EndedShown {
        ended_sessions: Some(1),
        ..shown_end(service, "session", Some(session.to_string()), ended)
    })
}

async fn revoke_name(
    service: &Service,
    namespace: &str,
    name: NameSelector,
) -> Result<EndedShown, CommandError> {
    let found = service.namespace(namespace).ok_or_else(|| messages::no_namespace(namespace))?;
    let (scope, target, name) = match name {
        NameSelector::Session(name) => ("session", name.clone(), RevokedName::Session(name)),
        NameSelector::Token(name) => ("token", name.clone(), RevokedName::Token(name)),
        NameSelector::Subject(name) => ("subject", name.clone(), RevokedName::Subject(name)),
        NameSelector::Everything => ("namespace", found.name.clone(), RevokedName::Everything),
    };
    if !(1..=limits::REVOKED_NAME_BYTES).contains(&target.len()) {
        let message = format!("the name of the {scope} has {} bytes", target.len());
        return Err(CommandError::new(Exit::Usage, message)
            .hint(format!("give 1 to {} bytes, as in the token's claim", limits::REVOKED_NAME_BYTES)));
    }
    let revoked = service.revoke_names_by(Actor::Operator, found, &[NameRevocation::now(name)]).await;
    let revoked = revoked.map_err(|failure| messages::not_ended(scope, &failure))?;
    Ok(shown_end(service, scope, Some(target), Ended { seq: Some(revoked.seq) }))
}

async fn inspect(service: &Service, token: &str) -> Result<InspectionShown, CommandError> {
    let Inspection { header, claims, signature, status: standing } =
        service.inspect(token).await.map_err(|failure| failed(&failure))?;
    let unreadable = header.as_ref().err().or(claims.as_ref().err()).map(ToString::to_string);
    let payload = Unverified::parse(token).and_then(|token| token.payload_unverified()).ok();
    let claims = payload.and_then(|payload| match parse_json(&payload, Duplicates::Refuse) {
        Ok(Value::Object(claims)) => Some(claims),
        _ => None,
    });
    let header = header.ok().map(|header| {
        let alg = ("alg".to_owned(), Value::String(header.algorithm));
        std::iter::once(alg)
            .chain(header.kid.map(|kid| ("kid".to_owned(), Value::String(kid))))
            .collect::<Map<_, _>>()
    });
    let (standing, refusal, revoked) = match &standing {
        TokenStatus::Live => ("live", None, None),
        TokenStatus::Refused(refusal) => ("refused", Some(refusal.to_string()), None),
        TokenStatus::Revoked(by) => ("revoked", None, Some(RevokedShown::new(by))),
    };
    Ok(InspectionShown {
        header,
        claims,
        unreadable,
        signature_good: signature.is_ok(),
        signature_fault: signature.err().map(|invalid| invalid.to_string()),
        standing: standing.into(),
        refusal,
        revoked,
        inspected_at: Moment(service.now()),
    })
}

fn session_id(text: &str) -> Result<SessionId, CommandError> {
    text.parse().map_err(|_| {
        CommandError::new(Exit::Usage, "that isn't a session id")
            .hint("an id is 32 characters from 0 to 9 and a to f, as `quash session list` and the claim sid show it")
    })
}
