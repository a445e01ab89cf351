# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled build of the construction of messages (`sim.message`), and of the sizes of values (`sim.sizes`).

A `Recipe` knows where an object of the class keeps its fields. Calls of the class go to `construct`, which fills the
fields without calling ``__init__``; whatever is not plain (keywords, a wrong number of arguments) takes Python's way.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF

cdef extern from "Python.h":
    PyObject* PyDict_GetItemWithError(object mapping, object key) except? NULL
    object PyWeakref_NewRef(PyObject* value, PyObject* callback)
    Py_ssize_t PyVectorcall_NARGS(size_t flags)

cdef extern from *:
    """
    #include <structmember.h>

    typedef PyObject *(*quorumlab_construct)(PyObject *, PyObject *const *, size_t, PyObject *);

    static void quorumlab_set_vectorcall(PyObject *kind, quorumlab_construct function) {
        ((PyTypeObject *)kind)->tp_vectorcall = (vectorcallfunc)function;
    }

    static PyObject *quorumlab_allocate(PyObject *kind) {
        return ((PyTypeObject *)kind)->tp_alloc((PyTypeObject *)kind, 0);
    }

    static PyObject *quorumlab_call(PyObject *kind, PyObject *const *args, size_t flags, PyObject *names) {
        /* Python's way: the call of a class that has no vectorcall of its own. */
        Py_ssize_t i, count = PyVectorcall_NARGS(flags), named = names ? PyTuple_GET_SIZE(names) : 0;
        PyObject *options = NULL, *result = NULL, *tuple = PyTuple_New(count);
        if (tuple == NULL) return NULL;
        for (i = 0; i < count; i++) {
            Py_INCREF(args[i]);
            PyTuple_SET_ITEM(tuple, i, args[i]);
        }
        if (named) {
            options = PyDict_New();
            if (options == NULL) goto end;
            for (i = 0; i < named; i++)
                if (PyDict_SetItem(options, PyTuple_GET_ITEM(names, i), args[count + i]) < 0) goto end;
        }
        result = PyType_Type.tp_call(kind, tuple, options);
    end:
        Py_DECREF(tuple);
        Py_XDECREF(options);
        return result;
    }

    static Py_ssize_t quorumlab_offset(PyObject *descriptor) {
        if (Py_TYPE(descriptor) != &PyMemberDescr_Type) return -1;
        return ((PyMemberDescrObject *)descriptor)->d_member->offset;
    }

    static void quorumlab_set_field(PyObject *object, Py_ssize_t offset, PyObject *value) {
        Py_INCREF(value);
        *(PyObject **)((char *)object + offset) = value;
    }
    """
    void set_vectorcall "quorumlab_set_vectorcall" (object kind, void* function)
    PyObject* allocate "quorumlab_allocate" (PyObject* kind)
    PyObject* call_slowly "quorumlab_call" (PyObject* kind, PyObject** args, size_t flags, PyObject* names)
    Py_ssize_t offset_of "quorumlab_offset" (object descriptor)
    void set_field "quorumlab_set_field" (PyObject* value, Py_ssize_t offset, PyObject* field)

from weakref import finalize, ref

from sim.sizes import WORD, size_by_class, size_of_items

__all__ = ["SOURCES", "quicken", "size_of"]

cdef extern from *:
    """
    #ifndef QUORUMLAB_SOURCES
    #define QUORUMLAB_SOURCES "unknown"
    #endif
    """
    const char* QUORUMLAB_SOURCES

SOURCES = QUORUMLAB_SOURCES.decode()

cdef enum:
    MOST_FIELDS = 32

cdef long long BYTES_OF_NUMBER = WORD
cdef dict recipes = {}  # weak reference to a message class -> its recipe
cdef dict sizes = {}  # other class -> the size of each of its objects, or the function that computes it


cdef class Recipe:
    """Where the objects of a class keep their fields."""

    cdef Py_ssize_t count
    cdef Py_ssize_t required
    cdef Py_ssize_t offsets[MOST_FIELDS]
    cdef tuple fields
    cdef tuple defaults
    cdef bint has_post


def quicken(kind, tuple fields, dict defaults):
    """Let calls of a message class, whose ``__init__`` is the generated one, construct its objects in C."""
    cdef Recipe recipe = Recipe()
    cdef Py_ssize_t i, offset
    if len(fields) > MOST_FIELDS:
        return
    for i, field in enumerate(fields):
        offset = offset_of(getattr(kind, field))
        if offset < 0:
            return
        recipe.offsets[i] = offset
    recipe.fields = fields
    recipe.count = len(fields)
    recipe.defaults = tuple([defaults[field] for field in fields if field in defaults])
    recipe.required = recipe.count - len(recipe.defaults)
    recipe.has_post = hasattr(kind, "__post_init__")
    recipes[ref(kind)] = recipe
    finalize(kind, recipes.pop, ref(kind))
    set_vectorcall(kind, <void*>construct)


cdef PyObject* construct(PyObject* kind, PyObject** args, size_t flags, PyObject* names) except NULL:
    cdef Recipe recipe = <Recipe>PyDict_GetItemWithError(recipes, PyWeakref_NewRef(kind, NULL))
    cdef Py_ssize_t i, given = PyVectorcall_NARGS(flags)
    cdef PyObject* values[MOST_FIELDS]
    cdef PyObject* made
    if given > recipe.count:
        return call_slowly(kind, args, flags, names)
    for i in range(given):
        values[i] = args[i]
    for i in range(given, recipe.count):
        values[i] = NULL if i < recipe.required else <PyObject*>recipe.defaults[i - recipe.required]
    if names != NULL and not take_named(recipe, given, values, &args[given], <tuple>names):
        return call_slowly(kind, args, flags, names)
    for i in range(given, recipe.required):
        if values[i] == NULL:
            return call_slowly(kind, args, flags, names)
    made = allocate(kind)
    if made == NULL:
        return NULL  # the allocation has raised MemoryError
    for i in range(recipe.count):
        set_field(made, recipe.offsets[i], values[i])
    if recipe.has_post:
        try:
            (<object>made).__post_init__()
        except BaseException:
            Py_XDECREF(made)
            raise
    return made


cdef bint take_named(Recipe recipe, Py_ssize_t given, PyObject** values, PyObject** named, tuple names) except -1:
    """Put keyword arguments into their places; False if one of them has none."""
    cdef Py_ssize_t i, j
    for j in range(len(names)):
        for i in range(given, recipe.count):
            if recipe.fields[i] is names[j]:
                values[i] = named[j]
                break
        else:
            return False
    return True


def size_of(value):
    """See `sim.sizes.size_of`."""
    cdef long long total = 0
    return total if add_size(value, &total) else size_of_kind(value)


cdef object size_of_kind(object value):
    """The size of an object whose class is not known here."""
    kind = type(value)
    size = sizes.get(kind)
    if size is None:
        size = sizes[kind] = size_by_class(kind)
    return size if type(size) is int else size(value)


cdef bint add_size(object value, long long* total) except -1:
    """Add the size of a value to ``total``; False if it is no int."""
    kind = type(value)
    if kind is str:
        total[0] += len(<str>value)
    elif kind is int or kind is float:
        total[0] += BYTES_OF_NUMBER
    elif kind is tuple or (isinstance(value, tuple) and sizes.get(kind) is size_of_items):
        for item in <tuple>value:
            if not add_size(item, total):
                return False
    elif value is None or kind is bool:
        total[0] += 1
    else:
        size = size_of_kind(value)
        if type(size) is not int:
            return False
        total[0] += <long long>size
    return True
