/* Lets one system call of this process fail: loaded before libc (LD_PRELOAD), told by `fault_arm` which one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int armed, at, code, count;
static char fired[16];

void fault_arm(int n, int number) { armed = 1; at = n; code = number; count = 0; fired[0] = 0; }
const char *fault_disarm(void) { armed = 0; return fired; }

static int due(const char *name) {
    if (!armed || ++count != at) return 0;
    strncpy(fired, name, sizeof fired - 1);
    return 1;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL_WHEN_DUE(name) if (due(name)) { errno = code; return -1; }

/* Half of what is written arrives. */
ssize_t write(int fd, const void *from, size_t n) {
    REAL(write);
    if (due("write")) { if (n > 1) (void)!real(fd, from, n / 2); errno = code; return -1; }
    return real(fd, from, n);
}
int ftruncate(int fd, off_t n) { REAL(ftruncate); FAIL_WHEN_DUE("ftruncate"); return real(fd, n); }
int ftruncate64(int fd, off64_t n) { REAL(ftruncate64); FAIL_WHEN_DUE("ftruncate"); return real(fd, n); }
int fsync(int fd) { REAL(fsync); FAIL_WHEN_DUE("fsync"); return real(fd); }
int rename(const char *a, const char *b) { REAL(rename); FAIL_WHEN_DUE("rename"); return real(a, b); }
int renameat(int c, const char *a, int d, const char *b) { REAL(renameat); FAIL_WHEN_DUE("rename"); return real(c, a, d, b); }
int renameat2(int c, const char *a, int d, const char *b, unsigned int flags) {
    REAL(renameat2);
    FAIL_WHEN_DUE("exchange");
    return real(c, a, d, b, flags);
}
int mkdir(const char *path, mode_t mode) { REAL(mkdir); FAIL_WHEN_DUE("mkdir"); return real(path, mode); }
int chmod(const char *path, mode_t mode) { REAL(chmod); FAIL_WHEN_DUE("chmod"); return real(path, mode); }
int fchmodat(int d, const char *path, mode_t mode, int flags) {
    REAL(fchmodat);
    FAIL_WHEN_DUE("chmod");
    return real(d, path, mode, flags);
}
