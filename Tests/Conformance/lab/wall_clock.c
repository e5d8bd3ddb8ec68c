// wall_clock.c: a library for LD_PRELOAD that sets a program's wall clock off by as much as the file of
// $LAB_WALL_CLOCK says, which may change at any time: nanoseconds, a native 64 bit integer.
//
// Only CLOCK_REALTIME moves, as on a machine whose clock is wrong. libfaketime moves CLOCK_BOOTTIME as well, which
// Swift's ContinuousClock reads, and changes the environment, beside which Swift looks for its arguments.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LAB_WALL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) offset = page;
    close(file);
}

static struct timespec moved(struct timespec time, int64_t nanoseconds) {
    int64_t seconds = nanoseconds / 1000000000, rest = time.tv_nsec + nanoseconds % 1000000000;
    time.tv_sec += seconds + (rest >= 1000000000) - (rest < 0);
    time.tv_nsec = rest + (rest < 0 ? 1000000000 : 0) - (rest >= 1000000000 ? 1000000000 : 0);
    return time;
}

static int64_t off(void) { return offset ? *offset : 0; }

// Deadlines of the wall clock go to the kernel as its own clock shows them. Those of other clocks count from the
// machine's start, and no machine has run for 30 years.
static struct timespec real(const struct timespec *deadline) {
    return deadline->tv_sec > 1000000000 ? moved(*deadline, -off()) : *deadline;
}

#define NEXT(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int clock_gettime(clockid_t clock, struct timespec *time) {
    NEXT(clock_gettime);
    int result = next(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) *time = moved(*time, off());
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *time, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline) {
    NEXT(pthread_cond_timedwait);
    struct timespec then = real(deadline);
    return next(condition, mutex, &then);
}

int sem_timedwait(sem_t *semaphore, const struct timespec *deadline) {
    NEXT(sem_timedwait);
    struct timespec then = real(deadline);
    return next(semaphore, &then);
}

int timerfd_settime(int file, int flags, const struct itimerspec *value, struct itimerspec *old) {
    NEXT(timerfd_settime);
    struct itimerspec then = *value;
    if (flags & TFD_TIMER_ABSTIME) then.it_value = real(&value->it_value);
    return next(file, flags, &then, old);
}
