//! Which pairs of networks are compared.

use crate::config::network_name::NetworkName;
use crate::report::protocol::Protocol;

/// (network, reference) of every pair: residual against plain of each depth, then each deeper net
/// against the shallowest of its family.
pub struct Pairs {
    /// Residual against plain, of one depth.
    pub twins: Vec<(NetworkName, NetworkName)>,
    /// Deeper against the shallowest of its family.
    pub depths: Vec<(NetworkName, NetworkName)>,
}

impl Pairs {
    /// The pairs among the networks of `protocol`.
    pub fn of(protocol: &Protocol) -> Pairs {
        let networks = protocol.networks();
        let of = |twin: fn(u64) -> NetworkName| {
            networks
                .iter()
                .copied()
                .filter(move |name| *name == twin(name.depth()))
                .collect::<Vec<_>>()
        };
        let (plain, residual) = (of(NetworkName::plain), of(NetworkName::residual));
        let twins = plain
            .iter()
            .map(|name| (NetworkName::residual(name.depth()), *name))
            .filter(|(twin, _)| residual.contains(twin))
            .collect();
        let deeper = |family: &Vec<NetworkName>| {
            family.iter().skip(1).map(|deeper| (*deeper, family[0])).collect::<Vec<_>>()
        };
        Pairs { twins, depths: [deeper(&plain), deeper(&residual)].concat() }
    }
}
