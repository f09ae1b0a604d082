//! CMS EnvelopedData (RFC 5652 6.1) in DER, as much of it as one hospital needs: key transport by RSA, content by AES-256-CBC.

use yasna::models::ObjectIdentifier;
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, DERWriter, Tag};

/// id-envelopedData
const ENVELOPED: &[u64] = &[1, 2, 840, 113_549, 1, 7, 3];
/// id-data
const DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 1];
/// rsaEncryption: RFC 3370 4.2.1, PKCS #1 v1.5
const RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 1];
/// id-aes256-CBC (RFC 3565)
const AES_256_CBC: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 1, 42];

/// What is enclosed, and for whom.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) recipients: Vec<Recipient>,
    pub(super) iv: [u8; 16],
    pub(super) content: Vec<u8>,
}

/// Somebody who can open it, named by a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recipient {
    /// A Name, DER.
    pub(super) issuer: Vec<u8>,
    /// The bytes of the certificate's serial number.
    pub(super) serial: Vec<u8>,
    /// The content's key, encrypted.
    pub(super) carried: Vec<u8>,
}

pub(super) fn write(envelope: &Envelope) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|info| {
            oid(info.next(), ENVELOPED);
            info.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|enveloped| {
                    enveloped.next().write_i64(0);
                    enveloped.next().write_set_of(|set| {
                        for recipient in &envelope.recipients {
                            write_recipient(set.next(), recipient);
                        }
                    });
                    enveloped.next().write_sequence(|content| {
                        oid(content.next(), DATA);
                        content.next().write_sequence(|algorithm| {
                            oid(algorithm.next(), AES_256_CBC);
                            algorithm.next().write_bytes(&envelope.iv);
                        });
                        content
                            .next()
                            .write_tagged_implicit(Tag::context(0), |writer| {
                                writer.write_bytes(&envelope.content);
                            });
                    });
                });
            });
        });
    })
}

fn write_recipient(writer: DERWriter<'_>, recipient: &Recipient) {
    writer.write_sequence(|transport| {
        transport.next().write_i64(0);
        transport.next().write_sequence(|named| {
            named.next().write_der(&recipient.issuer);
            named.next().write_bigint_bytes(&recipient.serial, true);
        });
        transport.next().write_sequence(|algorithm| {
            oid(algorithm.next(), RSA);
            algorithm.next().write_null();
        });
        transport.next().write_bytes(&recipient.carried);
    });
}

fn oid(writer: DERWriter<'_>, components: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(components));
}

/// Reads an envelope; none when it is none of ours. Recipients of other kinds are passed over.
pub(super) fn read(bytes: &[u8]) -> Option<Envelope> {
    yasna::parse_der(whole(bytes)?, |reader| {
        reader.read_sequence(|info| {
            expect(info.next(), ENVELOPED)?;
            info.next().read_tagged(Tag::context(0), |reader| {
                reader.read_sequence(|enveloped| {
                    enveloped.next().read_i64()?;
                    enveloped.read_optional(|reader| passed_over(reader, 0))?;
                    let mut recipients = Vec::new();
                    enveloped.next().read_set_of(|reader| {
                        recipients.push(reader.read_der()?);
                        Ok(())
                    })?;
                    let (iv, content) = enveloped.next().read_sequence(|content| {
                        expect(content.next(), DATA)?;
                        let iv = content.next().read_sequence(|algorithm| {
                            expect(algorithm.next(), AES_256_CBC)?;
                            algorithm.next().read_bytes()
                        })?;
                        let sealed = content
                            .next()
                            .read_tagged_implicit(Tag::context(0), |r| r.read_bytes())?;
                        Ok((iv, sealed))
                    })?;
                    enveloped.read_optional(|reader| passed_over(reader, 1))?;
                    Ok((recipients, iv, content))
                })
            })
        })
    })
    .ok()
    .and_then(|(recipients, iv, content)| {
        Some(Envelope {
            recipients: recipients.iter().filter_map(|der| recipient(der)).collect(),
            iv: iv.try_into().ok()?,
            content,
        })
    })
}

fn recipient(der: &[u8]) -> Option<Recipient> {
    yasna::parse_der(der, |reader| {
        reader.read_sequence(|transport| {
            transport.next().read_i64()?;
            let (issuer, serial) = transport.next().read_sequence(|named| {
                let issuer = named.next().read_der()?;
                let (serial, _) = named.next().read_bigint_bytes()?;
                Ok((issuer, serial))
            })?;
            transport.next().read_sequence(|algorithm| {
                expect(algorithm.next(), RSA)?;
                algorithm.read_optional(|reader| reader.read_null())
            })?;
            let carried = transport.next().read_bytes()?;
            Ok(Recipient {
                issuer,
                serial,
                carried,
            })
        })
    })
    .ok()
}

/// An element with this context tag: who sent it, and attributes that nobody vouches for.
fn passed_over(reader: BERReader<'_, '_>, tag: u64) -> ASN1Result<Vec<u8>> {
    if reader.lookahead_tag()? == Tag::context(tag) {
        return reader.read_der();
    }
    Err(ASN1Error::new(ASN1ErrorKind::Invalid))
}

fn expect(reader: BERReader<'_, '_>, components: &[u64]) -> ASN1Result<()> {
    if reader.read_oid()?.components().as_slice() == components {
        return Ok(());
    }
    Err(ASN1Error::new(ASN1ErrorKind::Invalid))
}

/// Without what follows it: an element of odd length is padded to an even one (PS3.5 7.1.1).
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (head, length) = match *bytes.get(1)? {
        short @ 0..=0x7F => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7F);
            let digits = bytes
                .get(2..2 + count)
                .filter(|_| (1..=4).contains(&count))?;
            let length = digits
                .iter()
                .fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit));
            (2 + count, length)
        }
    };
    bytes.get(..head + length)
}
