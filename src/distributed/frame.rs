//! What travels between rank 0 and each of the others, beside tensors: a byte that says what it is,
//! eight for the length, least first, and so many bytes.

use std::io::{self, Read, Write};

const BEAT: u8 = 0;
const DATA: u8 = 1;
const FAILED: u8 = 2;

/// No frame is longer, in bytes: more than any network's checkpoint has.
const LONGEST: u64 = 1 << 36;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// The sender is alive.
    Beat,
    /// What the other side waits for.
    Data(Vec<u8>),
    /// The sender ends, for this reason.
    Failed(String),
}

impl Frame {
    /// Writes the frame.
    pub fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        match self {
            Frame::Beat => write(stream, BEAT, &[]),
            Frame::Data(bytes) => write(stream, DATA, bytes),
            Frame::Failed(reason) => write(stream, FAILED, reason.as_bytes()),
        }
    }

    /// Reads the next frame.
    pub fn read(stream: &mut impl Read) -> io::Result<Frame> {
        let mut header = [0; 9];
        stream.read_exact(&mut header)?;
        let [kind, length @ ..] = header;
        let length = u64::from_le_bytes(length);
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        if length > LONGEST {
            return Err(invalid("a message of impossible length"));
        }
        let mut bytes = Vec::new();
        // Memory is taken as bytes arrive, whatever the length says.
        if stream.take(length).read_to_end(&mut bytes)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match kind {
            BEAT => Ok(Frame::Beat),
            DATA => Ok(Frame::Data(bytes)),
            FAILED => Ok(Frame::Failed(String::from_utf8_lossy(&bytes).into_owned())),
            _ => Err(invalid("a message of unknown kind")),
        }
    }
}

/// Writes a frame with these bytes.
fn write(stream: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let mut header = Vec::with_capacity(9);
    header.push(kind);
    header.extend((bytes.len() as u64).to_le_bytes());
    // A small one is one packet.
    match bytes.len() {
        0..4096 => stream.write_all(&[&header, bytes].concat()),
        _ => stream.write_all(&header).and_then(|()| stream.write_all(bytes)),
    }
}

/// Several messages as one.
pub fn pack(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut packed = Vec::new();
    for part in parts {
        packed.extend((part.len() as u64).to_le_bytes());
        packed.extend(part);
    }
    packed
}

/// The messages that [`pack`] made one of; none if it is not such a one.
pub fn unpack(mut packed: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    while !packed.is_empty() {
        let (length, rest) = packed.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(part.to_vec());
        packed = rest;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_half_a_frame_is_an_error() {
        let frames =
            [Frame::Beat, Frame::Data(vec![7; 10_000]), Frame::Failed("disk full".to_string())];
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut bytes).unwrap());
        let mut stream = &bytes[..];
        for frame in &frames {
            assert_eq!(Frame::read(&mut stream).unwrap(), *frame);
        }
        assert!(Frame::read(&mut stream).is_err());
        assert!(Frame::read(&mut &bytes[9..5000]).is_err());
        assert!(Frame::read(&mut &[9u8; 9][..]).is_err());
        assert!(Frame::read(&mut &[9, 0, 0, 0, 0, 0, 0, 0, 0][..]).is_err());
    }

    #[test]
    fn packed_messages_come_apart_as_they_were() {
        let parts = vec![b"a".to_vec(), Vec::new(), vec![0; 300]];
        let packed = pack(&parts);
        assert_eq!(unpack(&packed).unwrap(), parts);
        assert_eq!(unpack(&[]).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(unpack(&packed[..packed.len() - 1]), None);
    }
}
