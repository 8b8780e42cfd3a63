//! ZIP archives without compression: what PyTorch's files are.

use anyhow::{Result, bail};

/// Data begins at a multiple of this, as PyTorch wants it to map a file into memory.
const ALIGNMENT: usize = 64;

/// 1980-01-01, the first day that the format knows: the same entries make the same bytes.
const FIRST_DAY: u16 = 0x0021;

/// Length of a local header without name and padding.
const LOCAL_HEADER: usize = 30;

/// The bytes of an archive of `entries`, in order. The format of 32 bits is written, which ends at
/// 4 GB.
///
/// The format: PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
pub fn stored(entries: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let total: usize = entries.iter().map(|(name, data)| data.len() + 2 * name.len() + 256).sum();
    if u32::try_from(total).is_err() || entries.len() >= usize::from(u16::MAX) {
        bail!("more than 4 GB, or too many entries, for one archive");
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(total);
    let mut directory: Vec<u8> = Vec::new();
    for (name, data) in entries {
        let (offset, crc, length) = (bytes.len(), crc32(data), data.len() as u32);
        // An extra field pads the header: two bytes of a name, two of its length, then anything.
        let end = offset + LOCAL_HEADER + name.len() + 4;
        let padding = end.next_multiple_of(ALIGNMENT) - end;
        let shared = |version: &[u16]| {
            let mut header = Vec::new();
            for value in version.iter().copied().chain([0, 0, 0, FIRST_DAY]) {
                header.extend(value.to_le_bytes());
            }
            for value in [crc, length, length] {
                header.extend(value.to_le_bytes());
            }
            header.extend((name.len() as u16).to_le_bytes());
            header
        };
        bytes.extend(*b"PK\x03\x04");
        bytes.extend(shared(&[20]));
        bytes.extend((padding as u16 + 4).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend(*b"FB");
        bytes.extend((padding as u16).to_le_bytes());
        bytes.extend(std::iter::repeat_n(b'Z', padding));
        bytes.extend(data);
        directory.extend(*b"PK\x01\x02");
        directory.extend(shared(&[20, 20]));
        // No extra field, comment, disk or attributes.
        directory.extend([0; 12]);
        directory.extend((offset as u32).to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, count) = (bytes.len() as u32, entries.len() as u16);
    bytes.extend(&directory);
    bytes.extend(*b"PK\x05\x06");
    bytes.extend([0; 4]);
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0; 2]);
    Ok(bytes)
}

/// CRC-32 as ZIP has it (polynomial 0xEDB88320, reflected).
fn crc32(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut value, mut bit) = (index as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !data
        .iter()
        .fold(!0, |crc, &byte| TABLE[((crc ^ u32::from(byte)) & 0xFF) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard_and_data_is_aligned() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let entries = [("a/one".to_string(), vec![1; 100]), ("a/two".to_string(), vec![2; 3])];
        let bytes = stored(&entries).unwrap();
        for (value, count) in [(1, 100), (2, 3)] {
            let start = bytes.windows(count).position(|window| window == vec![value; count]);
            assert!(start.is_some_and(|start| start.is_multiple_of(64)), "{start:?}");
        }
        assert_eq!(bytes, stored(&entries).unwrap());
    }
}
