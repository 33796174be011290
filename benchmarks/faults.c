/* Faults of the file layer on demand: preloaded, it makes the n-th call of a kind fail for files below a folder.
 *
 * Wraps the calls of the C library that the interpreter writes and reads files with. Calls are counted while armed;
 * `faults_arm` says which one fails and how, `faults_disarm` ends it. Costs a look at the path when a file is opened.
 * One thread at a time may be armed; programs under test run in one process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum kind { OPEN, WRITE, FSYNC, CLOSE, RENAME, UNLINK, MKDIR, OPEN_TO_READ, READ, KINDS };
enum { MOST_FILES = 65536 };

static char below[PATH_MAX];
static int armed, failing, error_number, lasting, shortened;
static long until, counts[KINDS], failed;
static char ours[MOST_FILES]; /* of each file descriptor: 1 open for writing, 2 for reading */

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

void faults_arm(const char *folder, int kind, long n, int error, int lasts, int shorten) {
    strncpy(below, folder, sizeof below - 1);
    failing = kind, until = n, error_number = error, lasting = lasts, shortened = shorten;
    memset(counts, 0, sizeof counts);
    failed = 0;
    armed = 1;
}
void faults_disarm(void) { armed = 0; }
long faults_count(int kind) { return counts[kind]; }
long faults_failed(void) { return failed; }

static int concerns(const char *path) { return armed && path && !strncmp(path, below, strlen(below)); }

/* Whether this call is to fail. */
static int strikes(enum kind kind) {
    long number = ++counts[kind];
    if (kind != (enum kind)failing || (lasting ? number < until : number != until)) return 0;
    failed++;
    errno = error_number;
    return 1;
}

static int opened(const char *path, int flags, int fd) {
    if (fd >= 0 && fd < MOST_FILES) ours[fd] = concerns(path) ? ((flags & O_ACCMODE) == O_RDONLY ? 2 : 1) : 0;
    return fd;
}

static int refused(const char *path, int flags) {
    if (!concerns(path) || (flags & O_DIRECTORY)) return 0;
    return strikes((flags & O_ACCMODE) == O_RDONLY ? OPEN_TO_READ : OPEN);
}

#define MODE                                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE
    if (refused(path, flags)) return -1;
    return opened(path, flags, ((int (*)(const char *, int, ...))real("open"))(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
    MODE
    if (refused(path, flags)) return -1;
    return opened(path, flags, ((int (*)(const char *, int, ...))real("open64"))(path, flags, mode));
}
int close(int fd) {
    int strike = fd >= 0 && fd < MOST_FILES && ours[fd] == 1 && armed && strikes(CLOSE);
    if (fd >= 0 && fd < MOST_FILES) ours[fd] = 0;
    int answer = ((int (*)(int))real("close"))(fd);
    if (strike) errno = error_number; /* the file is closed all the same, as Linux does */
    return strike ? -1 : answer;
}
ssize_t write(int fd, const void *data, size_t size) {
    ssize_t (*call)(int, const void *, size_t) = real("write");
    if (armed && fd >= 0 && fd < MOST_FILES && ours[fd] == 1 && strikes(WRITE)) {
        if (!shortened) return -1;
        errno = 0;
        return call(fd, data, size > 1 ? size / 2 : size);
    }
    return call(fd, data, size);
}
ssize_t read(int fd, void *data, size_t size) {
    if (armed && fd >= 0 && fd < MOST_FILES && ours[fd] && strikes(READ)) return -1;
    return ((ssize_t(*)(int, void *, size_t))real("read"))(fd, data, size);
}
int fsync(int fd) {
    if (armed && fd >= 0 && fd < MOST_FILES && ours[fd] && strikes(FSYNC)) return -1;
    return ((int (*)(int))real("fsync"))(fd);
}
int rename(const char *from, const char *to) {
    if (concerns(to) && strikes(RENAME)) return -1;
    return ((int (*)(const char *, const char *))real("rename"))(from, to);
}
int unlink(const char *path) {
    if (concerns(path) && strikes(UNLINK)) return -1;
    return ((int (*)(const char *))real("unlink"))(path);
}
int mkdir(const char *path, mode_t mode) {
    if (concerns(path) && strikes(MKDIR)) return -1;
    return ((int (*)(const char *, mode_t))real("mkdir"))(path, mode);
}
