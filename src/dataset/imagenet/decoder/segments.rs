//! The segments of a JPEG file before its picture.

/// Where the first scan of the picture begins, if the segments before it can be followed so far.
///
/// The EXIF segment is passed over as any other: torchvision's ImageFolder and the tools of 2015
/// leave a picture as it is stored, whatever its orientation says.
pub(crate) fn picture(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    while let Some([0xff, marker, tail @ ..]) = bytes.get(at..) {
        match marker {
            // Padding.
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            0xd9 => break,
            0xda => return Some(at),
            _ => {
                let length = usize::from(u16::from_be_bytes(*tail.first_chunk()?));
                tail.get(2..length)?;
                at += 2 + length;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_found_behind_the_segments_and_nowhere_in_a_file_that_ends_before() {
        let file = b"\xff\xd8\xff\xe1\0\x04ab\xff\xff\xda\0\x08";
        assert_eq!(picture(file), Some(9));
        for length in 0..10 {
            assert_eq!(picture(&file[..length]), None, "{length}");
        }
        assert_eq!(picture(b"\xff\xd8\xff\xe1\0\x01\xff"), None);
    }
}
