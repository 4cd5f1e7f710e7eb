"""Faithful paraphrases of sentences from Python's own documentation, written by hand before the gate saw them."""

_PAIRS = """
Tasks wait on 'wait()' and all wake up together once each of them has called it. <- Tasks block on 'wait()' and are simultaneously awoken once they have all made their call.
Event loops use the buffer of the protocol so that data need not be copied. <- Event loops can then use the buffer provided by the protocol to avoid unnecessary data copies.
An event holds a flag which set() makes true and clear() makes false. <- An event manages a flag that can be set to true with the set() method and reset to false with the clear() method.
Releasing an unlocked lock raises a RuntimeError. <- If an attempt is made to release an unlocked lock, a RuntimeError will be raised.
Raises a RuntimeError when someone tries to release a lock that is unlocked. <- If an attempt is made to release an unlocked lock, a RuntimeError will be raised.
The implementations do nothing, and raise no exceptions. <- The implementations here do nothing (they don't raise exceptions).
With an integer greater than 0, "await put()" blocks when the queue has reached maxsize, until get() removes an item. <- If it is an integer greater than 0, then "await put()" will block when the queue reaches maxsize, until an item is removed by get().
When loop_factory is passed, new event loops are created with it. <- If loop_factory is passed, it is used for new event loop creation.
The context management protocol is supported by semaphores, too. <- Semaphores also support the context management protocol.
The watcher's performance does not depend on how many processes are spawned. <- The watcher has O(1) complexity, its performance doesn't depend on amount of spawn processes.
An argument that is a Future is returned directly. <- If the argument is a Future, it is returned directly.
The returned reader is a StreamReader, and the writer a StreamWriter. <- The reader returned is a StreamReader instance; the writer is a StreamWriter instance.
Runs a function asynchronously in a thread of its own. <- Asynchronously run function *func* in a separate thread.
It waits for one Future or coroutine to complete, with a timeout. <- Wait for the single Future or coroutine to complete, with timeout.
ConfigParser parses a list of configuration files and manages the parsed database. <- ConfigParser -- responsible for parsing a list of configuration files, and managing the parsed database.
The exception is raised when an input source repeats a section. <- Raised when a section is repeated in an input source.
It is raised when a configuration file breaks the legal syntax. <- Raised when a configuration file does not follow legal syntax.
A dialect argument is supported by readers and writers as a handle on a group of settings. <- Readers and writers support a dialect argument, which is a convenient handle on a group of settings.
Any object that supports the file API can be the "fileobj" argument. <- The "fileobj" argument can be any object that supports the file API.
The value of a new Decimal can be an integer, a string, a tuple, or another Decimal. <- Construct a new Decimal object. 'value' can be an integer, string, tuple, or another Decimal object.
Reads a binary file and parses it into a Message object model. <- Read a binary file and parse its contents into a Message object model.
A message has a payload and a number of RFC 2822 headers. <- A message object is defined as something that has a bunch of RFC 2822 headers and a payload.
A function without an annotation for its return type has this attribute set to `Signature.empty`. <- If the function has no annotation for its return type, this attribute is set to `Signature.empty`.
`NodeTransformer` is a special visitor that allows modifications. <- For this a special visitor exists (`NodeTransformer`) that allows modifications.
The whole source file and the starting line number of an object are returned. <- Return the entire source file and starting line number for an object.
Values of type str are un-stringized with eval() when eval_str is true. <- If eval_str is true, values of type str will be un-stringized using eval().
Returns the absolute path of an object's source or compiled file. <- Return an absolute path to the source or compiled file for an object.
Each entry is a 2-tuple of a class and the tuple of its base classes. <- Each entry is a 2-tuple containing a class and a tuple of its base classes.
Gets the comment lines that immediately precede the source code of an object. <- Get lines of comments immediately preceding an object's source code.
When the callback never returns a true value, the last object of the chain is returned as usual. <- If the callback never returns a true value, the last object in the chain is returned as usual.
Array elements and object members are pretty-printed with that indent level if ``indent`` is a non-negative integer. <- If ``indent`` is a non-negative integer, then JSON array elements and object members will be pretty-printed with that indent level.
When ``ensure_ascii`` is false, the return value can contain non-ASCII characters if they appear in strings in ``obj``. <- If ``ensure_ascii`` is false, then the return value can contain non-ASCII characters if they appear in strings contained in ``obj``.
Instead of the ``dict``, what ``object_pairs_hook`` returns will be used. <- The return value of ``object_pairs_hook`` will be used instead of the ``dict``.
``parse_int`` will be called, if specified, with the string of every JSON int. <- ``parse_int``, if specified, will be called with the string of every JSON int to be decoded.
A Formatter instance converts a LogRecord to text. <- Formatter instances are used to convert a LogRecord to text.
Filter instances filter LogRecords arbitrarily. <- Filter instances are used to perform arbitrary filtering of LogRecords.
The nesting depth has no arbitrary limit. <- There is no arbitrary limit to the depth of nesting.
The class does not close the stream, because sys.stdout or sys.stderr may be used. <- Note that this class does not close the stream, as sys.stdout or sys.stderr may be used.
On the root logger it logs a message with severity 'WARNING'. <- Log a message with severity 'WARNING' on the root logger.
Without a matching numeric or string value, the string 'Level %s' % level is returned. <- If no matching numeric or string value is passed in, the string 'Level %s' % level is returned.
Either of these classes can be instantiated directly, whatever system you have. <- You can also instantiate either of these classes directly, regardless of your system.
A possibly compressed tar file is created from all files under 'base_dir'. <- Create a (possibly compressed) tar file from all the files under 'base_dir'.
The name of the output zip file is 'base_name' + ".zip". <- The output zip file will be named 'base_name' + ".zip".
Data is copied from src to dst in the most efficient way possible. <- Copy data from src to dst in the most efficient way possible.
Where possible, copystat() copies the "extended attributes" as well on Linux. <- On Linux, copystat() also copies the "extended attributes" where possible.
Setting the optional flag ignore_dangling_symlinks to true silences this exception. <- You can set the optional ignore_dangling_symlinks flag to true if you want to silence this exception.
A `FileExistsError` is raised when dirs_exist_ok is false, which is the default, and `dst` already exists. <- If dirs_exist_ok is false (the default) and `dst` already exists, a `FileExistsError` is raised.
If the destination exists already and is not a directory, it may be overwritten depending on os.rename() semantics. <- If the destination already exists but is not a directory, it may be overwritten depending on os.rename() semantics.
Archives are created by the callable that is given as function. <- name is the name of the format. function is the callable that will be used to create archives.
When it is unavailable, its use raises a NotImplementedError. <- If it is unavailable, using it will raise a NotImplementedError.
The protocol argument is 0 by default, which specifies the default protocol. <- The protocol argument defaults to 0, specifying the default protocol.
Returns the path that conforms to the given mode on the PATH, or None where there is no such file. <- Given a command, mode, and a PATH string, return the path which conforms to the given mode on the PATH, or None if there is no such file.
Enters the execution of a task or resumes a suspended one. <- Enter into task execution or resume suspended task.
All methods that the class provides are an implementation detail. <- All the methods provided by the class are considered an implementation detail.
A FileType instance is typically passed to the ArgumentParser add_argument() method as type= argument. <- Instances of FileType are typically passed as type= arguments to the ArgumentParser add_argument() method.
It is a child watcher that uses pid file descriptors of Linux. <- Child watcher implementation using Linux's pid file descriptors.
If something() is cancelled in another way, shield() is cancelled by this as well. <- Note: If something() is cancelled by other means this will still cancel shield().
The newline argument works like that of the constructor of TextIOWrapper. <- The newline argument is like the one of TextIOWrapper's constructor.
It gives information about the arguments that were passed into a particular frame. <- Get information about arguments passed into a particular frame.
Concrete subclasses have to override __len__, __getitem__, and either __new__ or __init__. <- Concrete subclasses must override __new__ or __init__, __getitem__, and __len__.
A reference to a handler is removed from the internal list for cleanup. <- Remove a handler reference from the internal cleanup list.
The returned object is the same Server as that of loop.create_server(), and can be used to stop the service. <- The return value is the same as loop.create_server(), i.e. a Server object which can be used to stop the service.
The common prefix of all files and directories in the archive will be 'base_dir', from where archiving starts. <- 'base_dir' is the directory where we start archiving from; ie. 'base_dir' will be the common prefix of all files and directories in the archive.
Returns true for an object that is an abstract base class (ABC). <- Return true if the object is an abstract base class (ABC).
Returns true when the object is a function or method that is built in. <- Return true if the object is a built-in function or method.
"""  # noqa: E501 - a pair is a line
DOCUMENTED_PARAPHRASES = [tuple(line.split(" <- ")) for line in _PAIRS.strip().splitlines()]
"""(paraphrase, its source)"""
