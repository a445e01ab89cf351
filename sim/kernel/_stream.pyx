# cython: language_level=3, cdivision=True
"""The compiled build of `sim.kernel.stream`."""

from libc.math cimport log

from itertools import chain

from sim.kernel.stream import Stream as Plain, blocks

__all__ = ["Stream"]

cdef long long EXACT = <long long>1 << 53


cdef class Stream:
    cdef object _numbers
    cdef readonly object random

    def __init__(self, generator):
        self._numbers = chain.from_iterable(blocks(generator))
        self.random = self._numbers.__next__

    cdef double _next(self) except? -1.0:
        return next(self._numbers)

    def uniform(self, low, high):
        return low + (high - low) * self._next()

    def exponential(self, mean):
        return -mean * log(1.0 - self._next())

    cdef long long _below(self, n) except -1:
        if not 1 <= n <= EXACT:
            raise ValueError(f"cannot draw an integer below {n}")
        return <long long>(self._next() * <double>n)

    def below(self, n):
        return self._below(n)

    def choice(self, items):
        return items[self._below(len(items))]

    sample, shuffle = Plain.sample, Plain.shuffle

    def chance(self, probability):
        return self._next() < probability
