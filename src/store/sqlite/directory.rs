//! The data directory: made private, on a disk whose locks and syncs can be trusted, and used by one process.

use crate::error::OpenError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// File systems behind a network, by the magic number that statfs(2) gives. SQLite needs byte-range locks and an
/// fsync that reaches the disk; none of these promises both. 9p is not here: sandboxed runtimes show local disks
/// through it. Numbers: linux/magic.h, statfs(2).
const NETWORK_FILESYSTEMS: &[(u64, &str)] = &[
    (0x0000_6969, "nfs"),
    (0x0000_517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x0000_564c, "ncp"),
    (0x0bd0_0bd0, "lustre"),
    (0x1983_0326, "beegfs"),
    (0x786f_4256, "vboxsf"),
];

/// FUSE says nothing by its number; its kinds go by the name in the mount table.
const FUSE: u64 = 0x6573_5546;
const NETWORK_FUSE: &[&str] = &[
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.s3fs",
    "fuse.mount-s3",
    "fuse.goofys",
    "fuse.geesefs",
    "fuse.gcsfuse",
    "fuse.blobfuse",
    "fuse.blobfuse2",
    "fuse.juicefs",
    "fuse.seaweedfs",
    "fuse.rclone",
    "fuse.davfs",
    "fuse.curlftpfs",
    "fuse.mfs",
];

/// Makes the directory when it is missing, with mode 0700, and refuses one behind a network. One that is there is
/// left as it is: whoever mounted it chose its mode.
pub(super) fn prepare(dir: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io { path: dir.into(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let magic = rustix::fs::statfs(dir).map_err(|error| failed(error.into()))?.f_type as u64 & 0xffff_ffff;
    let mounts =
        if magic == FUSE { std::fs::read_to_string("/proc/self/mountinfo") } else { Ok(String::new()) };
    let real = dir.canonicalize().map_err(failed)?;
    match network_filesystem(magic, &real, &mounts.unwrap_or_default()) {
        Some(filesystem) => Err(OpenError::NetworkFilesystem { path: dir.into(), filesystem }),
        None => Ok(()),
    }
}

/// The name of the network file system, if it is one.
fn network_filesystem(magic: u64, dir: &Path, mounts: &str) -> Option<String> {
    if magic != FUSE {
        return NETWORK_FILESYSTEMS
            .iter()
            .find(|(known, _)| *known == magic)
            .map(|(_, name)| (*name).to_owned());
    }
    let name = filesystem_name(dir, mounts)?;
    NETWORK_FUSE.contains(&name).then(|| name.to_owned())
}

/// The file system type of the mount that holds a directory: proc(5), /proc/PID/mountinfo.
fn filesystem_name<'a>(dir: &Path, mounts: &'a str) -> Option<&'a str> {
    let parse = |line: &'a str| {
        let (left, right) = line.split_once(" - ")?;
        Some((left.split(' ').nth(4)?, right.split(' ').next()?))
    };
    let holds = |(point, _): &(&str, &str)| dir.starts_with(point);
    // Of mounts on one point the last one is seen, and max_by_key gives the last of equals.
    mounts.lines().filter_map(parse).filter(holds).max_by_key(|(point, _)| point.len()).map(|(_, name)| name)
}

/// Says to other processes that the directory is in use. The system takes it back when the process ends, however.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Lock, OpenError> {
        let path = dir.join("lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(|source| OpenError::Io { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: dir.into() }),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
        }
    }
}

/// Makes the entries of a directory durable.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_named() {
        let mounts = "22 1 0:20 / / rw - overlay overlay rw\n\
            36 22 98:0 / /data rw,noatime shared:1 - fuse.sshfs host:/x rw\n\
            37 36 98:1 / /data/local rw - fuse.ntfs-3g /dev/sda1 rw\n\
            38 22 98:2 / /database rw - fuse.ntfs-3g /dev/sda2 rw\n";
        let cases = [
            (0x6969, "/x", Some("nfs")),
            (0xff53_4d42, "/x", Some("cifs")),
            (0xef53, "/x", None),
            (0x0102_1997, "/x", None),
            (FUSE, "/data", Some("fuse.sshfs")),
            (FUSE, "/data/sub/dir", Some("fuse.sshfs")),
            (FUSE, "/data/local/dir", None),
            (FUSE, "/database", None),
            (FUSE, "/elsewhere", None),
        ];
        for (magic, dir, expected) in cases {
            assert_eq!(
                network_filesystem(magic, Path::new(dir), mounts).as_deref(),
                expected,
                "{magic:x} {dir}"
            );
        }
    }
}
