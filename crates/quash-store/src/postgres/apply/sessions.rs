//! Opens, rotates and ends sessions.

use quash_core::model::{
    ClientName, DeviceId, Devices, Generation, NewEntry, Receipt, Session, SessionEnd, SessionId,
    SessionOpening, SessionState, Subject, Survivor, Timestamp, limits,
};

use super::Work;
use crate::postgres::fault::PostgresError;
use crate::postgres::params::Param;
use crate::postgres::rows;
use crate::postgres::statements;

impl Work<'_> {
    pub(super) async fn open_session(&mut self, opening: &SessionOpening) -> Result<Receipt, PostgresError> {
        let seq = match &opening.evict {
            Some(end) => self.end(std::slice::from_ref(end)).await?,
            None => None,
        };
        if let Some(adoption) = &opening.adopts {
            self.none_revoked(&adoption.scopes).await?;
            let key: Vec<_> = opening.session.adopted.iter().map(|adopted| adopted.key).collect();
            self.none(statements::ADOPTED_BEFORE, &key).await?;
        }
        self.insert(opening).await?;
        self.signed_in(opening).await?;
        Ok(Receipt { seq, ..Receipt::default() })
    }

    async fn insert(&self, opening: &SessionOpening) -> Result<(), PostgresError> {
        let session: &Session = &opening.session;
        let ending = match &session.state {
            SessionState::Live => None,
            SessionState::Ended(ending) => Some(ending),
        };
        let (id, seed) = (session.id.as_bytes().as_slice(), session.seed.as_slice());
        let foreign_key = session.adopted.as_ref().map(|adopted| adopted.key.0.as_slice());
        let known_device = session.known_device.as_ref().map(|device| device.as_bytes().as_slice());
        let version = rows::stored(opening.version)?;
        let most_live = i64::from(opening.most_live);
        let minted_at = opening.adopts.as_ref().map(|adoption| adoption.minted_at.as_millis());
        let mut params: Vec<&dyn Param> = Vec::with_capacity(22);
        let subject = session.subject.as_str();
        let generation = i64::from(session.generation.0);
        let (rotated_at, opened_at) = (session.rotated_at.as_millis(), session.opened_at.as_millis());
        let (idle_until, ends_at) =
            (session.idle_until.as_millis(), session.ends_at.map(Timestamp::as_millis));
        let opened_seq = rows::stored(session.opened_seq.as_u64())?;
        let reason = ending.map(|ending| ending.reason.as_str());
        let ended_at = ending.map(|ending| ending.at.as_millis());
        let actor = ending.map(|ending| ending.actor.as_str().to_owned());
        let claims = session.claims.to_json();
        let foreign_until = session.adopted.map(|adopted| adopted.until.as_millis());
        let client = session.client.as_ref().map(ClientName::as_str);
        params.extend::<[&dyn Param; 21]>([
            &id,
            &subject,
            &generation,
            &rotated_at,
            &seed,
            &opened_seq,
            &opened_at,
            &idle_until,
            &ends_at,
            &reason,
            &ended_at,
            &actor,
            &session.device,
            &session.address,
            &claims,
            &foreign_key,
            &foreign_until,
            &known_device,
            &client,
            &version,
            &most_live,
        ]);
        match &minted_at {
            None => self.transaction.write_one(statements::OPEN_SESSION, &params).await,
            Some(minted_at) => {
                params.push(minted_at);
                self.transaction.write_one(statements::ADOPT, &params).await
            }
        }
    }

    /// Writes what a sign-in changes in the account's row, if anything.
    async fn signed_in(&self, opening: &SessionOpening) -> Result<(), PostgresError> {
        let SessionOpening { session, version, rehash, last_login, known_device, locks, claims, .. } =
            opening;
        let is_unchanged = rehash.is_none()
            && last_login.is_none()
            && known_device.is_none()
            && locks.is_none()
            && claims.is_none();
        if is_unchanged {
            return Ok(());
        }
        let device = known_device.map(|device| Devices::default().with(device).to_text());
        let longest = device.as_ref().map_or(0, String::len) * limits::DEVICES;
        let longest = i32::try_from(longest).map_err(|_| PostgresError::Value("known devices"))?;
        self.transaction
            .write_one(
                statements::SIGNED_IN,
                &[
                    &session.subject.as_str(),
                    &rows::stored(*version)?,
                    &rehash.as_ref().map(|(hash, _)| hash.as_str()),
                    &rehash.as_ref().and_then(|(hash, _)| hash.class()),
                    &rehash.as_ref().map(|(_, mark)| mark.as_str()),
                    &last_login.map(Timestamp::as_millis),
                    &locks.map(i64::from),
                    &claims.as_ref().map(rows::object),
                    &device,
                    &longest,
                ],
            )
            .await
    }

    pub(super) async fn rotate(
        &self,
        id: SessionId,
        from: Generation,
        rotated_at: Timestamp,
        idle_until: Timestamp,
    ) -> Result<Receipt, PostgresError> {
        self.transaction
            .write_one(
                statements::ROTATE,
                &[
                    &id.as_bytes().as_slice(),
                    &i64::from(from.0),
                    &i64::from(from.next().0),
                    &rotated_at.as_millis(),
                    &idle_until.as_millis(),
                ],
            )
            .await?;
        Ok(Receipt::default())
    }

    pub(super) async fn bind(&self, id: SessionId, device: DeviceId) -> Result<Receipt, PostgresError> {
        let (id, device) = (id.as_bytes().as_slice(), device.as_bytes().as_slice());
        self.transaction.write_one(statements::BIND_SESSION, &[&id, &device]).await?;
        Ok(Receipt::default())
    }

    pub(super) async fn survive(
        &self,
        subject: &Subject,
        survivor: Survivor,
        number: i64,
    ) -> Result<(), PostgresError> {
        let Survivor { session, generation, rotated_at, idle_until } = survivor;
        self.transaction
            .write_one(
                statements::SURVIVE,
                &[
                    &session.as_bytes().as_slice(),
                    &i64::from(generation.0),
                    &i64::from(generation.next().0),
                    &rotated_at.as_millis(),
                    &idle_until.as_millis(),
                    &number,
                    &subject.as_str(),
                ],
            )
            .await
    }

    pub(super) async fn end_sessions(
        &mut self,
        ends: &[SessionEnd],
        tokens: &[NewEntry],
    ) -> Result<Receipt, PostgresError> {
        let mut last = self.end(ends).await?;
        for entry in tokens {
            let key = [entry.key];
            self.none_revoked(&key).await?;
            self.none(statements::ADOPTED_ALREADY, &key).await?;
            self.none(statements::ADOPTED_BEFORE, &key).await?;
            last = self.append(&[entry]).await?;
        }
        Ok(Receipt { seq: last, pruned: 0 })
    }

    /// Ends sessions, and appends the entries about them. Their rows are locked.
    async fn end(&mut self, ends: &[SessionEnd]) -> Result<Option<quash_core::model::Seq>, PostgresError> {
        for end in ends {
            let ending = end.ending();
            self.transaction
                .write_one(
                    statements::END_SESSION,
                    &[
                        &end.session.as_bytes().as_slice(),
                        &ending.reason.as_str(),
                        &ending.at.as_millis(),
                        &ending.actor.as_str(),
                    ],
                )
                .await?;
        }
        let entries: Vec<_> =
            ends.iter().flat_map(|end| std::iter::once(&end.entry).chain(&end.adopted)).collect();
        self.append(&entries).await
    }
}
