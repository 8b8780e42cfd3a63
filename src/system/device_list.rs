//! Several devices that train one run together, as `--device` names them.

use std::fmt;
use std::str::FromStr;

use crate::error::{BadInput, bad_input};
use crate::system::device::{Cuda, DeviceChoice, register_cuda};

/// What `--device` says where one run may be trained on several devices, by a process each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList(Vec<DeviceChoice>);

/// A machine has no more GPUs.
const MOST_DEVICES: usize = 64;

impl DeviceList {
    /// The devices, at least one.
    pub fn all(&self) -> &[DeviceChoice] {
        &self.0
    }

    /// The one device of a command that trains on one; `command` names it in the error.
    pub fn only(&self, command: &str) -> Result<DeviceChoice, BadInput> {
        match self.0[..] {
            [one] => Ok(one),
            _ => Err(bad_input(format!(
                "--device {self}: {command} trains each run on one device: name one; several train a run together in \"train\""
            ))),
        }
    }

    /// The device of a rank, from its number among the `local_rank`s of its machine: the one in its
    /// place in the list, or where nothing is said the GPU with its number.
    pub fn of_rank(&self, local_rank: usize) -> Result<DeviceChoice, BadInput> {
        match (&self.0[..], register_cuda()) {
            // A launcher may show each rank its own GPU only.
            ([DeviceChoice::Auto], Cuda::Available(count)) if count > 1 => {
                Ok(DeviceChoice::Cuda(local_rank))
            }
            ([one], _) => Ok(*one),
            (several, _) => several.get(local_rank).copied().ok_or_else(|| {
                bad_input(format!(
                    "--device {self}: {} devices, and this is rank {local_rank} of its machine, counted from 0",
                    several.len()
                ))
            }),
        }
    }
}

impl FromStr for DeviceList {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<DeviceList, BadInput> {
        let wrong = || {
            bad_input("write auto, cpu, cuda or cuda:N, or several GPUs as cuda:0-3 or cuda:0,2")
        };
        let mut devices: Vec<DeviceChoice> = Vec::new();
        for part in text.split(',') {
            let number = part.strip_prefix("cuda:").unwrap_or(part);
            // A number alone is another GPU.
            let is_number =
                number.len() < part.len() || matches!(devices.last(), Some(DeviceChoice::Cuda(_)));
            let range = number.split_once('-').unwrap_or((number, number));
            let numbers = (range.0.parse::<usize>(), range.1.parse::<usize>());
            match numbers {
                (Ok(first), Ok(last)) if is_number && last < first + MOST_DEVICES => {
                    if last < first {
                        return Err(wrong());
                    }
                    devices.extend((first..=last).map(DeviceChoice::Cuda));
                }
                _ => devices.push(part.parse().map_err(|_| wrong())?),
            }
        }
        if devices.len() > MOST_DEVICES
            || devices.len() > 1 && devices.contains(&DeviceChoice::Auto)
        {
            return Err(wrong());
        }
        Ok(DeviceList(devices))
    }
}

impl Default for DeviceList {
    fn default() -> DeviceList {
        DeviceList(vec![DeviceChoice::Auto])
    }
}

impl fmt::Display for DeviceList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(DeviceChoice::to_string).collect();
        formatter.write_str(&all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_devices_are_listed_or_a_range_of_gpus_and_others_are_refused() {
        let read = |text: &str| text.parse::<DeviceList>().map(|list| list.to_string());
        for (text, written) in [
            ("auto", "auto"),
            ("cpu,cpu", "cpu,cpu"),
            ("cuda:0-2", "cuda:0,cuda:1,cuda:2"),
            ("cuda:0,2", "cuda:0,cuda:2"),
            ("cuda:1,cuda:3-4", "cuda:1,cuda:3,cuda:4"),
            ("cuda,1", "cuda:0,cuda:1"),
        ] {
            assert_eq!(read(text).unwrap(), written);
        }
        for text in ["", "auto,cpu", "cuda:2-1", "cuda:0-", "0-3", "cpu,1", "cuda:0-99999999", "x"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        let list: DeviceList = "cpu,cpu".parse().unwrap();
        assert_eq!(list.of_rank(1).unwrap(), DeviceChoice::Cpu);
        assert!(list.of_rank(2).is_err() && list.only("compare").is_err());
    }
}
