/* Preloaded into a process under test: its calls on files below a folder fail when they are told to, and are written down in order.

   What goes through libc is seen: the standard library of Rust and SQLite. What rustix asks of the kernel itself is not: fallocate,
   statvfs, openat2 and preadv2.

   CALLS_BELOW  what a path has to contain to be one of ours
   CALLS_PAGE   a file of sizeof(struct page) bytes, through which a test says what fails and hears what did
   CALLS_LOG    a file that takes the calls, as records
   CALLS_KEEP   a sync that fails takes nothing along: who reads the log decides

   A sync that fails takes along what it should have made durable: the bytes are what they were at the last sync, and the names that were
   made since are gone. SQLite's files keep theirs, as ext4 keeps pages that it could not write: whether they are on the disk is the
   business of whoever reads the log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN = 1, WRITE, SYNC, RENAME, KINDS };

struct page {
    _Atomic uint64_t kind, error;
    _Atomic int64_t left, many;
    _Atomic uint64_t hits, seen[KINDS];
    char last[256];
};

/* What was there before a write. */
struct undo {
    struct undo *next;
    off_t at, size;
    size_t length;
    char old[];
};

/* A name made in a folder, and what it was called before, if it was. */
struct name {
    struct name *next;
    char *now, *before;
};

struct file {
    dev_t dev;
    ino_t ino;
    int folder, rows;
    struct undo *undo;
    struct name *names;
    struct file *next;
};

struct record {
    uint8_t op, flag;
    uint16_t none;
    uint32_t length;
    uint64_t file, at, size;
};

#define FDS 65536
static struct file *fds[FDS], *files;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct page *page;
static int wanted_log = -1;
static const char *below, *keeps;
static atomic_uint_fast64_t token;

#define REAL(type, name, ...) static type (*real_##name)(__VA_ARGS__)
REAL(int, open64, const char *, int, ...);
REAL(int, close, int);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, rename, const char *, const char *);
REAL(int, linkat, int, const char *, int, const char *, int);
REAL(int, unlink, const char *);
REAL(int, mkdir, const char *, mode_t);
REAL(int, ftruncate64, int, off_t);
REAL(ssize_t, send, int, const void *, size_t, int);
REAL(ssize_t, sendmsg, int, const struct msghdr *, int);

static void begin(void) __attribute__((constructor));
static void begin(void) {
    if (real_open64) return;
#define FIND(name) real_##name = dlsym(RTLD_NEXT, #name)
    FIND(close), FIND(write), FIND(pwrite64), FIND(writev), FIND(fsync), FIND(fdatasync), FIND(rename), FIND(linkat);
    FIND(unlink), FIND(mkdir), FIND(ftruncate64), FIND(send), FIND(sendmsg), FIND(open64);
    below = getenv("CALLS_BELOW"), keeps = getenv("CALLS_KEEP");
    const char *at = getenv("CALLS_PAGE"), *log = getenv("CALLS_LOG");
    if (at) {
        int fd = real_open64(at, O_RDWR | O_CLOEXEC);
        void *found = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        page = found == MAP_FAILED ? NULL : found;
        real_close(fd);
    }
    if (log) wanted_log = real_open64(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int ours(const char *path) {
    begin();
    return below && path && strstr(path, below) != NULL;
}

static struct file *of(int fd) {
    begin();
    return fd >= 0 && fd < FDS ? fds[fd] : NULL;
}

/* Under the lock. */
static void note(int op, int flag, uint64_t file, uint64_t at, uint64_t size, const void *bytes, size_t length) {
    if (wanted_log < 0) return;
    struct record head = {op, flag, 0, length, file, at, size};
    struct iovec both[] = {{&head, sizeof head}, {(void *)bytes, length}};
    real_writev(wanted_log, both, 2);
}

static void note_names(int op, int flag, uint64_t file, const char *from, const char *to) {
    char both[8192];
    int length = snprintf(both, sizeof both, "%s%c%s", from, 0, to ? to : "");
    pthread_mutex_lock(&lock);
    note(op, flag, file, 0, 0, both, length);
    pthread_mutex_unlock(&lock);
}

/* Whether this call is the one that fails. */
static int fails(enum kind kind, const char *what) {
    if (!page) return 0;
    page->seen[kind]++;
    if (page->kind != kind) return 0;
    int64_t left = page->left--;
    if (left > 1 || left <= 1 - page->many) return 0;
    page->hits++;
    snprintf(page->last, sizeof page->last, "%s", what);
    errno = page->error; /* 0: a lie */
    return 1;
}

static const char *path_of(int fd, char *out, size_t room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, room - 1);
    out[length > 0 ? length : 0] = 0;
    return out;
}

static int again(int fd, int flags) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return real_open64(link, flags | O_CLOEXEC);
}

/* Under the lock. */
static struct file *file_of(const struct stat *found, int is_new) {
    struct file **at = &files;
    for (; *at; at = &(*at)->next)
        if ((*at)->ino == found->st_ino && (*at)->dev == found->st_dev) {
            if (!is_new) return *at;
            *at = (*at)->next; /* the number of one that is gone */
            break;
        }
    struct file *made = calloc(1, sizeof *made);
    made->dev = found->st_dev, made->ino = found->st_ino, made->folder = S_ISDIR(found->st_mode);
    made->next = files;
    return files = made;
}

static struct file *folder_of(const char *path) {
    char *copy = strdup(path), *slash = strrchr(copy, '/');
    struct stat found;
    struct file *folder = NULL;
    if (slash) *slash = 0;
    if (slash && stat(copy, &found) == 0) folder = file_of(&found, 0);
    free(copy);
    return folder;
}

/* A name that a sync of its folder has to keep. */
static void named(const char *now, const char *before) {
    if (!page || keeps) return;
    pthread_mutex_lock(&lock);
    struct file *folder = folder_of(now);
    if (folder && !strstr(now, ".sqlite")) {
        struct name *made = calloc(1, sizeof *made);
        made->now = strdup(now), made->before = before ? strdup(before) : NULL;
        made->next = folder->names, folder->names = made;
    }
    pthread_mutex_unlock(&lock);
}

static int opened(const char *path, int flags, mode_t mode) {
    if (fails(OPEN, path)) return -1;
    struct stat before, found;
    int was = stat(path, &before) == 0;
    int fd = real_open64(path, flags, mode);
    if (fd < 0 || fd >= FDS || fstat(fd, &found)) return fd;
    int made = (flags & O_CREAT) && !was;
    pthread_mutex_lock(&lock);
    fds[fd] = file_of(&found, made);
    fds[fd]->rows = strstr(path, ".sqlite") != NULL;
    note('N', made, found.st_ino, (flags & O_TRUNC) != 0, found.st_size, path, strlen(path));
    pthread_mutex_unlock(&lock);
    if (made) named(path, NULL);
    return fd;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open64(const char *path, int flags, ...) {
    MODE(flags, mode);
    return ours(path) ? opened(path, flags, mode) : (begin(), real_open64(path, flags, mode));
}

int open(const char *path, int flags, ...) {
    MODE(flags, mode);
    return ours(path) ? opened(path, flags, mode) : (begin(), real_open64(path, flags, mode));
}

int close(int fd) {
    begin();
    if (fd >= 0 && fd < FDS) fds[fd] = NULL;
    return real_close(fd);
}

/* Under the lock: keeps what a write is about to replace. */
static void remember(struct file *file, int fd, off_t at, size_t length) {
    struct stat found;
    int from = page && !keeps && !file->rows ? again(fd, O_RDONLY) : -1;
    if (from < 0) return;
    struct undo *undo = malloc(sizeof *undo + length);
    memset(undo->old, 0, length);
    fstat(fd, &found);
    undo->at = at, undo->size = found.st_size, undo->length = length;
    if (pread64(from, undo->old, length, at) < 0) undo->length = 0;
    undo->next = file->undo, file->undo = undo;
    real_close(from);
}

static ssize_t written(struct file *file, int fd, const void *bytes, size_t length, off_t at, int placed) {
    char path[4096];
    struct stat found;
    int bad = page && fails(WRITE, path_of(fd, path, sizeof path));
    int error = errno;
    /* one that fails has written half of it, in whole sectors */
    size_t want = bad ? length / 2 & ~(size_t)4095 : length;
    pthread_mutex_lock(&lock);
    if (!placed) at = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    remember(file, fd, at, want);
    fstat(fd, &found);
    ssize_t done = bad && !want ? 0 : placed ? real_pwrite64(fd, bytes, want, at) : real_write(fd, bytes, want);
    if (done > 0) note('W', 0, file->ino, at, found.st_size, bytes, done);
    pthread_mutex_unlock(&lock);
    if (!bad) return done;
    errno = error;
    return -1;
}

/* A P-DATA-TF (PS3.8 9.3.5) leaves: an answer. */
static void leaves(int fd, const void *bytes, size_t length) {
    const unsigned char *it = bytes;
    struct stat found;
    if (wanted_log < 0 || length < 12 || it[0] != 4 || it[1] || fstat(fd, &found) || !S_ISSOCK(found.st_mode)) return;
    pthread_mutex_lock(&lock);
    note('A', 0, 0, 0, 0, bytes, length < 1024 ? length : 1024);
    pthread_mutex_unlock(&lock);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    struct file *file = of(fd);
    if (file) return written(file, fd, bytes, length, 0, 0);
    leaves(fd, bytes, length);
    return real_write(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct file *file = of(fd);
    if (file) return count ? written(file, fd, parts[0].iov_base, parts[0].iov_len, 0, 0) : 0;
    if (count) leaves(fd, parts[0].iov_base, parts[0].iov_len);
    return real_writev(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
    struct file *file = of(fd);
    return file ? written(file, fd, bytes, length, at, 1) : real_pwrite64(fd, bytes, length, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    begin();
    leaves(fd, bytes, length);
    return real_send(fd, bytes, length, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    begin();
    if (message->msg_iovlen) leaves(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
    return real_sendmsg(fd, message, flags);
}

int ftruncate64(int fd, off_t length) {
    struct file *file = of(fd);
    int done = real_ftruncate64(fd, length);
    if (file && done == 0) {
        pthread_mutex_lock(&lock);
        note('T', 0, file->ino, length, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* What was not synced is as if it had not been, or is forgotten because it is now. */
static void settle(int fd, struct undo *undo, struct name *names, int lost) {
    int to = lost && undo ? again(fd, O_WRONLY) : -1;
    while (undo) {
        struct undo *next = undo->next;
        if (to >= 0 && real_pwrite64(to, undo->old, undo->length, undo->at) >= 0) (void)!real_ftruncate64(to, undo->size);
        free(undo), undo = next;
    }
    if (to >= 0) real_close(to);
    while (names) {
        struct name *next = names->next;
        if (lost && names->before) real_rename(names->now, names->before);
        else if (lost) real_unlink(names->now);
        free(names->now), free(names->before), free(names), names = next;
    }
}

static int synced(struct file *file, int fd, int (*real)(int)) {
    char path[4096];
    uint64_t mine = ++token;
    int bad = page && fails(SYNC, path_of(fd, path, sizeof path));
    int error = errno, lies = bad && !error;
    pthread_mutex_lock(&lock);
    struct undo *undo = file->undo;
    struct name *names = file->names;
    file->undo = NULL, file->names = NULL;
    note('S', 0, file->ino, mine, 0, NULL, 0);
    if (bad) settle(fd, undo, names, 1);
    pthread_mutex_unlock(&lock);
    int done = lies ? 0 : bad ? -1 : real(fd);
    if (!bad) settle(fd, undo, names, 0);
    pthread_mutex_lock(&lock);
    note(done ? 'F' : 'E', 0, file->ino, mine, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    if (bad) errno = error;
    return done;
}

int fsync(int fd) {
    struct file *file = of(fd);
    return file ? synced(file, fd, real_fsync) : real_fsync(fd);
}

int fdatasync(int fd) {
    struct file *file = of(fd);
    return file ? synced(file, fd, real_fdatasync) : real_fdatasync(fd);
}

int rename(const char *from, const char *to) {
    if (!ours(to)) return real_rename(from, to);
    if (fails(RENAME, to)) return -1;
    int done = real_rename(from, to);
    if (done == 0) note_names('R', 0, 0, from, to), named(to, from);
    return done;
}

int linkat(int at, const char *from, int to_at, const char *to, int flags) {
    if (!ours(to)) return real_linkat(at, from, to_at, to, flags);
    if (fails(RENAME, to)) return -1;
    int done = real_linkat(at, from, to_at, to, flags);
    if (done == 0) note_names('L', 0, 0, from, to), named(to, NULL);
    return done;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlink(const char *path) {
    int done = ours(path) ? real_unlink(path) : (begin(), real_unlink(path));
    if (done == 0 && ours(path)) note_names('U', 0, 0, path, NULL);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    int is = ours(path), done = real_mkdir(path, mode);
    if (done == 0 && is) note_names('M', 0, 0, path, NULL);
    return done;
}
