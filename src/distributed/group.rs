//! The processes that train one run together, one a device.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result};
use tch::{Device, Tensor};

use crate::distributed::connect::{Connections, Transport, connect};
use crate::distributed::control::Control;
use crate::distributed::gloo::Store;
use crate::distributed::meeting::{Fact, Meeting};
use crate::distributed::place::Place;
use crate::distributed::tree;

/// This process among those that train one run.
pub struct Group {
    place: Place,
    // In this order they end.
    connections: Connections,
    control: Control,
    _store: Store,
}

impl Group {
    /// Meets the other processes, which must have the same `facts` and may take `limit` to come;
    /// later one that shows no sign of life for as long has gone. This one trains on `device`.
    ///
    /// # Errors
    /// [`BadInput`](crate::error::BadInput), on all ranks, if one has other facts.
    pub fn join(place: Place, facts: Vec<Fact>, device: Device, limit: Duration) -> Result<Group> {
        let serve = place.is_first() && !place.store_is_there;
        let store = Store::open(&place.host, place.port, serve, limit).with_context(|| {
            let Place { rank, world, host, port, .. } = &place;
            match serve {
                true => format!("rank 0 of {world}: port {port} cannot be used; set MASTER_PORT to a free one"),
                false => format!(
                    "rank {rank} of {world}: no rank 0 at {host} port {port} (MASTER_ADDR, MASTER_PORT) within {} s",
                    limit.as_secs()
                ),
            }
        })?;
        let meeting = Meeting::hold(&place, &store, facts, limit)?;
        let address = meeting.address.clone();
        let control = Control::new(&place, meeting, limit)?;
        // The others may wait for this one.
        let connections = connect(&place, &control, &store, &address, device)
            .inspect_err(|error| control.fail(&format!("{error:#}")))?;
        Ok(Group { place, connections, control, _store: store })
    }

    /// Which of them this is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether this is the one that writes.
    pub fn is_first(&self) -> bool {
        self.place.is_first()
    }

    /// The hosts in order of ranks, each once where neighbours share it.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = self.control.hosts().to_vec();
        hosts.dedup();
        hosts
    }

    /// What moves tensors between them.
    pub fn transport(&self) -> &Transport {
        &self.connections.transport
    }

    /// In how many levels the sum over `groups` is added up: 2 within and between machines, else 1.
    pub fn levels(&self, groups: usize) -> usize {
        let levels = self.connections.levels.as_ref();
        if levels.is_some_and(|levels| levels.fit(groups)) { 2 } else { 1 }
    }

    /// The connections to the others, for what is no tensor.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// What all ranks have, bit by bit: each bit of the result is set if it is in some rank's
    /// `own`.
    pub fn agree(&self, own: u8) -> Result<u8> {
        let all = self.control.share(vec![own])?;
        Ok(all.iter().flatten().fold(0, |flags, own| flags | own))
    }

    /// Lines of all ranks, in order of ranks.
    pub fn lines(&self, own: &[String]) -> Result<Vec<String>> {
        let all = self.control.share(serde_json::to_vec(own)?)?;
        let mut lines = Vec::new();
        for own in &all {
            lines.extend(serde_json::from_slice::<Vec<String>>(own).context("lines of a rank")?);
        }
        Ok(lines)
    }

    /// Numbers of all ranks, in order of ranks.
    pub fn numbers(&self, own: &[f64]) -> Result<Vec<f64>> {
        let own = own.iter().flat_map(|number| number.to_le_bytes()).collect();
        let all = self.control.share(own)?;
        let numbers = all.iter().flat_map(|own| own.as_chunks().0);
        Ok(numbers.map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    /// The groups of a batch that are this rank's.
    pub fn share(&self, groups: usize) -> Range<usize> {
        tree::share(groups, self.place.rank, self.place.world)
    }

    /// The sum over all `groups` of a batch, in the order of [`tree`], from the sums over this
    /// rank's subtrees, in order: float32, one axis each, of one length. The same bits everywhere,
    /// and whatever the number of ranks.
    pub fn sum(&self, groups: usize, own: &[Tensor]) -> Result<Tensor> {
        self.control.exchanging();
        let sum = self.connections.sum(groups, self.place.rank, own);
        Ok(sum.map_err(|error| self.control.blame(error))?.to_device(own[0].device()))
    }

    /// The `own` vectors of all ranks one after the other, in order of ranks.
    pub fn gather(&self, own: &Tensor) -> Result<Tensor> {
        self.control.exchanging();
        let all = &self.connections.all;
        let gathered = all.all_gather(&own.to_device(all.device()).contiguous());
        Ok(gathered.map_err(|error| self.control.blame(error))?.to_device(own.device()))
    }

    /// Waits until all ranks are done; nothing can be exchanged afterwards.
    pub fn end(&self) -> Result<()> {
        // Of what is under way nothing must be left when the first rank goes.
        let waited = self.control.watched(|| self.connections.all.wait());
        waited.map_err(|error| self.control.blame(error))?;
        self.control.end()
    }
}
