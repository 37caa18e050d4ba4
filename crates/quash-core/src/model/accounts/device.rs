//! Known devices: those that an account has signed in from and hasn't been told to forget. Device tokens are
//! made and read in quash-service.

use crate::model::{DeviceId, IdFault, limits};

/// An account's known devices, ordered by their last sign-in, the latest last. At most [`limits::DEVICES`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Devices(Vec<DeviceId>);

impl Devices {
    /// The character before each id in the stored text.
    pub const MARK: char = '.';

    pub fn contains(&self, device: DeviceId) -> bool {
        self.0.contains(&device)
    }

    /// Adds the device that has just signed in, or moves it to the end. Drops the devices with the oldest
    /// sign-ins if there are too many.
    ///
    /// ```
    /// use quash_core::model::{DeviceId, Devices, limits};
    /// let all = (0..=limits::DEVICES as u8).map(|n| DeviceId::from_bytes([n; 16]));
    /// let known = all.fold(Devices::default(), Devices::with);
    /// assert!(!known.contains(DeviceId::from_bytes([0; 16])));
    /// assert!(known.contains(DeviceId::from_bytes([1; 16])));
    /// ```
    #[must_use]
    pub fn with(mut self, device: DeviceId) -> Self {
        self.0.retain(|known| *known != device);
        self.0.push(device);
        let over = self.0.len().saturating_sub(limits::DEVICES);
        self.0.drain(..over);
        self
    }

    /// The devices as the store keeps them: each id after [`Devices::MARK`].
    pub fn to_text(&self) -> String {
        self.0.iter().map(|device| format!("{}{device}", Self::MARK)).collect()
    }

    /// Parses the stored text.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, IdFault> {
        let mut parts = text.split(Self::MARK);
        if parts.next() != Some("") {
            return Err(IdFault);
        }
        parts.map(str::parse).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(ns: impl IntoIterator<Item = u8>) -> Devices {
        ns.into_iter().map(|n| DeviceId::from_bytes([n; 16])).fold(Devices::default(), Devices::with)
    }

    #[test]
    fn oldest_device_is_dropped_at_the_limit() {
        let most = limits::DEVICES as u8;
        assert_eq!(devices(0..most).0.len(), limits::DEVICES);
        assert_eq!(devices(0..=most), devices(1..=most));
        assert_eq!(
            devices((0..most).chain([0, most])),
            devices((2..most).chain([0, most])),
            "a device that signs in again is the newest"
        );
    }

    #[test]
    fn known_devices_round_trip_through_their_text() {
        for known in [devices([]), devices([1]), devices(0..9)] {
            assert_eq!(Devices::parse(&known.to_text()), Ok(known));
        }
        for other in ["x", ".", ".01", "..", "0101010101010101"] {
            assert_eq!(Devices::parse(other), Err(IdFault), "{other}");
        }
    }
}
