//! TensorBoard's event files: records with checksums (TFRecord), each an event in protobuf. Of
//! events only scalars are written and read.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use prost::Message;

use crate::system::regular_file;

/// The first event of every file.
const VERSION: &str = "brain.Event:2";

/// No record is longer: images and graphs of other programs are far shorter, in bytes.
const LONGEST_RECORD: u64 = 256 << 20;

/// The parts of TensorFlow's `event.proto` and `summary.proto` that scalars need.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// After how many iterations, or whatever else the program counts.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// Only in the first event.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    /// Values at this step.
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
}

/// Values of one step.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A value with its name: a number, or something else that is not read.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// Its name.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// A scalar as most programs write it. Zero is a value too, so it is not left out.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
    /// A scalar as TensorFlow 2 writes it.
    #[prost(message, optional, tag = "8")]
    pub tensor: Option<Tensor>,
}

/// TensorFlow's `tensor.proto`, as far as a single number needs it.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// What its numbers are: [`Tensor::FLOAT`], [`Tensor::DOUBLE`], or something else.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Little-endian bytes, where they are not in the lists below.
    #[prost(bytes = "vec", tag = "4")]
    pub content: Vec<u8>,
    /// Single precision.
    #[prost(float, repeated, tag = "5")]
    pub floats: Vec<f32>,
    /// Double precision.
    #[prost(double, repeated, tag = "6")]
    pub doubles: Vec<f64>,
}

impl Tensor {
    const FLOAT: i32 = 1;
    const DOUBLE: i32 = 2;

    /// Its number, if it is a single one.
    fn scalar(&self) -> Option<f64> {
        match (self.kind, &self.floats[..], &self.doubles[..], &self.content[..]) {
            (Self::FLOAT, [value], _, []) => Some(f64::from(*value)),
            (Self::DOUBLE, _, [value], []) => Some(*value),
            (Self::FLOAT, [], _, bytes) => {
                bytes.try_into().ok().map(f32::from_le_bytes).map(f64::from)
            }
            (Self::DOUBLE, _, [], bytes) => bytes.try_into().ok().map(f64::from_le_bytes),
            _ => None,
        }
    }
}

impl Event {
    /// The first event of a file.
    pub fn version() -> Event {
        Event { file_version: Some(VERSION.to_string()), ..Event::default() }
    }

    /// Named numbers at `step`.
    pub fn scalars(step: i64, values: &[(&str, f32)]) -> Event {
        let value = |(tag, value): &(&str, f32)| Value {
            tag: tag.to_string(),
            simple_value: Some(*value),
            tensor: None,
        };
        let summary = Some(Summary { values: values.iter().map(value).collect() });
        Event { step, summary, ..Event::default() }
    }

    /// Its named numbers; what else it holds is passed over.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, f64)> {
        self.summary.iter().flat_map(|summary| &summary.values).filter_map(|value| {
            let tensor = || value.tensor.as_ref().and_then(Tensor::scalar);
            let number = value.simple_value.map(f64::from).or_else(tensor);
            Some((value.tag.as_str(), number?))
        })
    }

    /// Writes it as a record: length, its checksum, data, its checksum, all little-endian.
    pub fn write(&self, writer: &mut impl Write) -> std::io::Result<()> {
        let data = self.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let record = [
            &length[..],
            &masked_checksum(&length).to_le_bytes(),
            &data,
            &masked_checksum(&data).to_le_bytes(),
        ]
        .concat();
        writer.write_all(&record)
    }
}

/// CRC-32C, rotated and shifted as TFRecord has it (tensorflow/tsl/lib/hash/crc32c.h).
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282ead8)
}

/// The events of a file, one after the other, each with its checksums compared. A record that is
/// not whole at the end of the file, as that of a program at work may be, ends them; a damaged one
/// is an error, and the last item.
pub struct Events {
    path: PathBuf,
    reader: BufReader<File>,
    /// Bytes that the file has after those that were read.
    left: u64,
    /// The number of the record that was read last.
    record: u64,
    over: bool,
}

impl Events {
    /// Those of the file at `path`.
    pub fn open(path: &Path) -> Result<Events> {
        let context = || format!("{}: cannot be read", path.display());
        let file = regular_file::open(path).with_context(context)?;
        let left = file.metadata().with_context(context)?.len();
        let reader = BufReader::new(file);
        Ok(Events { path: path.to_path_buf(), reader, left, record: 0, over: false })
    }

    /// The next so many bytes; `None` if the file ends before.
    fn bytes(&mut self, count: u64) -> Result<Option<Vec<u8>>> {
        if count > self.left {
            return Ok(None);
        }
        self.left -= count;
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(count).read_to_end(&mut bytes);
        let read = read.map_err(|error| anyhow!("cannot be read: {error}"))?;
        Ok((read as u64 == count).then_some(bytes))
    }

    /// The next so many bytes before their checksum; `None` if the file ends before.
    fn checked(&mut self, count: u64) -> Result<Option<Vec<u8>>> {
        let (Some(bytes), Some(checksum)) = (self.bytes(count)?, self.bytes(4)?) else {
            return Ok(None);
        };
        if checksum != masked_checksum(&bytes).to_le_bytes() {
            bail!("its checksum is another: the file is damaged, or is no event file");
        }
        Ok(Some(bytes))
    }

    fn event(&mut self) -> Result<Option<Event>> {
        self.record += 1;
        let Some(length) = self.checked(8)? else { return Ok(None) };
        let length = length.try_into().map(u64::from_le_bytes).unwrap_or(u64::MAX);
        if length > LONGEST_RECORD {
            bail!("is of {length} bytes, more than the {LONGEST_RECORD} that are read");
        }
        let Some(data) = self.checked(length)? else { return Ok(None) };
        Event::decode(&data[..]).map(Some).map_err(|error| anyhow!("is no event: {error}"))
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let event = self.event();
        self.over = !matches!(event, Ok(Some(_)));
        let (path, record) = (self.path.display(), self.record);
        event.map_err(|error| anyhow!("{path}: record {record} {error}")).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(events: &[Event]) -> Vec<u8> {
        let mut bytes = Vec::new();
        events.iter().for_each(|event| event.write(&mut bytes).unwrap());
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Result<Event>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Events::open(file.path()).unwrap().collect()
    }

    #[test]
    fn events_read_back_with_zeros_and_with_tensorflows_two_ways_of_writing_a_number() {
        let tensor = |tensor| Value { tag: "t".into(), simple_value: None, tensor: Some(tensor) };
        let empty = Tensor::default;
        let values = vec![
            tensor(Tensor { kind: Tensor::FLOAT, floats: vec![0.5], ..empty() }),
            tensor(Tensor {
                kind: Tensor::FLOAT,
                content: 0.25f32.to_le_bytes().into(),
                ..empty()
            }),
            tensor(Tensor {
                kind: Tensor::DOUBLE,
                content: 0.1f64.to_le_bytes().into(),
                ..empty()
            }),
            // Two numbers, and text: no scalars.
            tensor(Tensor { kind: Tensor::FLOAT, floats: vec![1.0, 2.0], ..empty() }),
            tensor(Tensor { kind: 7, content: vec![0; 4], ..empty() }),
        ];
        let tensors = Event { step: 2, summary: Some(Summary { values }), ..Event::default() };
        let bytes = written(&[Event::version(), Event::scalars(1, &[("a/b", 0.0)]), tensors]);
        let events: Vec<Event> = read(&bytes).into_iter().map(Result::unwrap).collect();
        let numbers: Vec<Vec<(&str, f64)>> =
            events.iter().map(|event| event.numbers().collect()).collect();
        assert_eq!(numbers[..2], [vec![], vec![("a/b", 0.0)]]);
        assert_eq!(numbers[2], [("t", 0.5), ("t", 0.25), ("t", 0.1)]);
    }

    #[test]
    fn an_event_is_read_by_the_field_numbers_of_tensorflows_schema() {
        // By hand from event.proto, summary.proto, tensor.proto: wall_time, step 7, a summary of one
        // value: tag "acc", tensor of dtype DT_FLOAT, empty shape, float_val 0.5; then tag "err",
        // simple_value 25.
        let tensor = b"\x08\x01\x12\x00\x2a\x04\x00\x00\x00\x3f";
        let accuracy = [&b"\x0a\x11\x0a\x03acc\x42\x0a"[..], tensor].concat();
        let error = b"\x0a\x0a\x0a\x03err\x15\x00\x00\xc8\x41";
        let bytes = [b"\x09\0\0\0\0\0\0\xf0\x3f\x10\x07\x2a\x1f", &accuracy[..], error].concat();
        let event = Event::decode(&bytes[..]).unwrap();
        assert_eq!((event.wall_time, event.step), (1.0, 7));
        assert_eq!(event.numbers().collect::<Vec<_>>(), [("acc", 0.5), ("err", 25.0)]);
    }

    #[test]
    fn no_flipped_bit_of_an_event_file_is_taken_for_a_number_and_a_cut_one_ends_early() {
        let whole = [Event::version(), Event::scalars(7, &[("error/train", 50.0)])];
        let bytes = written(&whole);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let events = read(&damaged);
            let message = events.last().unwrap().as_ref().unwrap_err().to_string();
            assert!(message.contains(": record ") && message.contains("checksum"), "{message}");
        }
        for end in 0..bytes.len() {
            let events = read(&bytes[..end]);
            assert!(events.iter().all(Result::is_ok) && events.len() < 2, "{end}");
        }
    }

    #[test]
    fn a_record_of_an_absurd_length_is_refused_before_it_is_read() {
        let length = (LONGEST_RECORD + 1).to_le_bytes();
        let mut bytes = [&length[..], &masked_checksum(&length).to_le_bytes()].concat();
        bytes.resize(64, 0);
        let message = read(&bytes).remove(0).unwrap_err().to_string();
        assert!(message.contains("more than the"), "{message}");
    }
}
