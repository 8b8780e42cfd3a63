/* Makes one operation on files fail, the K-th of all processes of a run, or it and every later one.

   For LD_PRELOAD (Linux, glibc). scripts/torture builds it and sets:
     FAULT_FOLDER   only what lies in this folder counts (its absolute path, without links)
     FAULT_COUNTER  a file of 8 bytes that all processes count in
     FAULT_AT       K, from 1; without it operations are only counted
     FAULT_HOW      ENOSPC, EIO, short (half of a write is done), kill (the process ends instead), killed (it ends right after)
     FAULT_LASTING  if set, later operations fail too (ENOSPC after a short one), as on a disk that is full or gone
     FAULT_LOG      a file that gets a line for the one that failed: number, operation, path  */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum way { NOTHING, FAIL, HALF, DIE_AFTER };

static const char *folder, *how;
static size_t folder_length;
static long at;
static int lasting;
static atomic_long *counter;

/* The C library's own function of this name. */
#define ORIGINAL(type, name, ...)                          \
    static type (*original)(__VA_ARGS__);                  \
    if (!original) original = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULT_COUNTER"), *number = getenv("FAULT_AT");
    int descriptor = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0) return;
    void *shared = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (shared == MAP_FAILED) return;
    counter = shared;
    at = number ? atol(number) : 0;
    how = getenv("FAULT_HOW");
    lasting = getenv("FAULT_LASTING") != NULL;
    folder = how ? getenv("FAULT_FOLDER") : NULL;
    folder_length = folder ? strlen(folder) : 0;
}

static int is_inside(const char *path) {
    return !strncmp(path, folder, folder_length) && (!path[folder_length] || path[folder_length] == '/');
}

/* Whether `path`, seen from the directory of `descriptor`, lies in the folder. */
static int path_counts(int descriptor, const char *path) {
    char whole[2 * PATH_MAX + 2], link[64];
    if (!folder) return 0;
    if (path[0] == '/') return is_inside(path);
    if (descriptor == AT_FDCWD) {
        if (!getcwd(whole, PATH_MAX)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(link, whole, PATH_MAX);
        if (length < 0) return 0;
        whole[length] = 0;
    }
    strcat(strcat(whole, "/"), path);
    return is_inside(whole);
}

static int descriptor_counts(int descriptor, char *path) {
    char link[64];
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    path[length] = 0;
    return is_inside(path);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void tell(long number, const char *operation, const char *path) {
    const char *file = getenv("FAULT_LOG");
    FILE *log = file ? fopen(file, "a") : NULL;
    if (!log) return;
    fprintf(log, "%ld %s %s\n", number, operation, path);
    fclose(log);
}

/* Counts an operation, and says what becomes of it; sets errno for FAIL. */
static enum way counted(const char *operation, const char *path) {
    long number = atomic_fetch_add(counter, 1) + 1;
    int first = number == at;
    if (!at || number < at || (!first && !lasting)) return NOTHING;
    if (first) {
        int before = errno;
        tell(number, operation, path);
        errno = before;
    }
    if (!strcmp(how, "kill")) die();
    if (!strcmp(how, "killed")) return DIE_AFTER;
    errno = strcmp(how, "EIO") ? ENOSPC : EIO;
    return first && !strcmp(how, "short") ? HALF : FAIL;
}

static int opened(int descriptor, const char *path, int flags) {
    int writes = flags & (O_CREAT | O_WRONLY | O_RDWR);
    return writes && path_counts(descriptor, path) ? counted("open", path) : NOTHING;
}

#define OPEN(name, declared, passed, descriptor, extra)                            \
    int name(declared const char *path, int flags, ...) {                          \
        va_list arguments;                                                         \
        va_start(arguments, flags);                                                \
        int has_mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;        \
        mode_t mode = has_mode ? va_arg(arguments, mode_t) : 0;                    \
        va_end(arguments);                                                         \
        ORIGINAL(int, name, extra const char *, int, ...);                         \
        enum way way = opened(descriptor, path, flags);                            \
        if (way == FAIL || way == HALF) return -1;                                 \
        int result = original(passed path, flags, mode);                           \
        if (way == DIE_AFTER) die();                                               \
        return result;                                                             \
    }
#define COMMA ,
OPEN(open, , , AT_FDCWD, )
OPEN(open64, , , AT_FDCWD, )
OPEN(openat, int directory COMMA, directory COMMA, directory, int COMMA)
OPEN(openat64, int directory COMMA, directory COMMA, directory, int COMMA)

ssize_t write(int descriptor, const void *bytes, size_t count) {
    ORIGINAL(ssize_t, write, int, const void *, size_t);
    char path[PATH_MAX + 1];
    enum way way = descriptor_counts(descriptor, path) ? counted("write", path) : NOTHING;
    if (way == FAIL || (way == HALF && count < 2)) return -1;
    /* A process that is killed has often written a part. */
    ssize_t result = original(descriptor, bytes, way == NOTHING ? count : (count + 1) / 2);
    if (way == DIE_AFTER) die();
    return result;
}

/* Operations on a descriptor, and on a path. */
#define ON_DESCRIPTOR(name, declared, passed, extra)                                                \
    int name(int descriptor declared) {                                                             \
        ORIGINAL(int, name, int extra);                                                             \
        char path[PATH_MAX + 1];                                                                    \
        enum way way = descriptor_counts(descriptor, path) ? counted(#name, path) : NOTHING;        \
        if (way == FAIL || way == HALF) return -1;                                                  \
        int result = original(descriptor passed);                                                   \
        if (way == DIE_AFTER) die();                                                                \
        return result;                                                                              \
    }
ON_DESCRIPTOR(fsync, , , )
ON_DESCRIPTOR(fdatasync, , , )
ON_DESCRIPTOR(ftruncate, COMMA off_t length, COMMA length, COMMA off_t)
ON_DESCRIPTOR(ftruncate64, COMMA off64_t length, COMMA length, COMMA off64_t)

#define ON_PATH(name, directory, path, declared, passed, types)                              \
    int name(declared) {                                                                     \
        ORIGINAL(int, name, types);                                                          \
        enum way way = path_counts(directory, path) ? counted(#name, path) : NOTHING;        \
        if (way == FAIL || way == HALF) return -1;                                           \
        int result = original(passed);                                                       \
        if (way == DIE_AFTER) die();                                                         \
        return result;                                                                       \
    }
ON_PATH(unlink, AT_FDCWD, path, const char *path, path, const char *)
ON_PATH(rmdir, AT_FDCWD, path, const char *path, path, const char *)
ON_PATH(mkdir, AT_FDCWD, path, const char *path COMMA mode_t mode, path COMMA mode, const char * COMMA mode_t)
ON_PATH(rename, AT_FDCWD, to, const char *from COMMA const char *to, from COMMA to, const char * COMMA const char *)
ON_PATH(unlinkat, directory, path, int directory COMMA const char *path COMMA int flags, directory COMMA path COMMA flags, int COMMA const char * COMMA int)
