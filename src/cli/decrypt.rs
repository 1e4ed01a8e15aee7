//! `decrypt`: which road an INPUT takes back to what it was.

use std::{
    ffi::OsString,
    io::Read,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

use clap::ArgGroup;

use super::{
    byte_source::ByteSource,
    cipher_picture,
    container::{self, Container},
    endpoint::{self, Form, Input, Output},
    error::Failure,
    excerpt::{Excerpt, Span},
    folder,
    key_files::IdentityArguments,
    matroska::Extent,
    moment::Moment,
    output::{self, PartialFile},
    packet_file::PacketFile,
    picture_file::{self, Opened},
    picture_type::{self, PictureType},
    sealing::{BackendArgument, Opening, warn_of_trouble},
    streams::Damage,
    summary::Summary,
    video_decrypt::VideoDecrypt,
    video_source::{Camera, VideoSource},
};

/// Decrypt a sealed picture or video, a cipher picture or video, a folder of pictures, or what comes from stdin
///
/// OUTPUT's extension says what is made. A picture: the type that was sealed returns the identical file, another one is
/// decoded, in as much as that type can hold. A video: a container for its tracks, as they were sealed. To stdout goes
/// the picture that was sealed, or with `--output-form mkv` a video.
///
/// Raw frames go into .mkv, losslessly compressed by FFV1, in a format that has the same samples: of 4:2:0 in I420
/// (NV12, YV12, ...), 4:2:2 in Y42B (YUY2, UYVY, ...), 4:4:4 in Y444, 4:1:1 in Y41B, 4:1:0 in YUV9, RGB in BGRx or BGRA,
/// 4:2:0 with alpha in A420, gray in GRAY8 or GRAY16_LE, 10 and 12 bits in the like of I420_10LE; AYUV uncompressed.
/// What none of these holds exactly is refused: colours of 16 bits, and interlaced 4:2:0 other than I420.
///
/// In a folder `a.jpg.cveil` becomes `a.jpg`, and a cipher picture becomes a PNG of the same name.
///
/// Where INPUT is damaged nothing stands under OUTPUT, what is intact is kept as OUTPUT.partial, and the exit code is 4.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("keys").required(true).multiple(true).args(IdentityArguments::IDS))]
pub struct Decrypt {
    #[command(flatten)]
    identities: IdentityArguments,
    /// Give what is intact of a damaged INPUT its final name; the exit code stays 4
    #[arg(long)]
    salvage: bool,
    /// Accept profile `chaos`
    #[arg(long)]
    insecure_research: bool,
    #[command(flatten)]
    backend: BackendArgument,
    /// What INPUT is, where its content shall not tell
    #[arg(long, value_name = "FORM")]
    input_form: Option<Form>,
    /// What to make, where OUTPUT is `-`
    #[arg(long, value_name = "FORM")]
    output_form: Option<Form>,
    /// Decrypt a sealed video from this moment on: 90, 1:30 or 00:01:30.500. Its output begins with the last picture at
    /// or before it that can be decoded by itself
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    from: Option<Moment>,
    /// Decrypt a sealed video up to this moment
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    to: Option<Moment>,
    /// Leave out every track that is no video; without this a track that OUTPUT cannot hold is an error
    #[arg(long)]
    video_only: bool,
    /// Overwrite OUTPUT
    #[arg(long)]
    force: bool,
    /// File, folder, address, or `-` for stdin
    input: OsString,
    /// File, folder, or `-` for stdout
    #[arg(short, long)]
    output: OsString,
}

/// What OUTPUT is to become.
enum Target {
    /// A picture; `None` is what was sealed.
    Picture(Option<&'static PictureType>),
    Video(&'static Container),
}

/// What a sealed video comes as.
enum Sealed {
    Packets(ByteSource),
    Pictures(VideoSource, Extent),
}

impl Decrypt {
    /// Decrypts.
    pub fn run(self) -> Result<(), Failure> {
        let opening = Opening::new(&self.identities, self.backend.engine()?, self.insecure_research)?;
        let done = self.decrypt(&opening);
        warn_of_trouble(&*opening.engine.backend);
        done
    }

    fn decrypt(&self, opening: &Opening) -> Result<(), Failure> {
        let input = Input::parse(&self.input)?;
        let output = Output::parse(&self.output);
        if let Output::Path(path) = &output {
            input.refuse_as_output(path)?;
        }
        if let Input::Folder(from) = &input {
            self.refuse_video_options("a folder")?;
            return match &output {
                Output::Path(to) => self.folder(opening, from, to),
                Output::Stdout => {
                    Err(Failure::usage("a folder does not go to stdout").advise("name a folder as OUTPUT"))
                }
            };
        }
        let target = self.target(&output)?;
        if let Output::Path(path) = &output {
            output::check_free(path, self.force)?;
        }
        match target {
            Target::Picture(kind) => {
                self.refuse_video_options("a picture")?;
                self.picture_of(opening, &input, kind, &output)
            }
            Target::Video(container) => self.video_of(opening, &input, container, &output),
        }
    }

    /// What to make: the extension of a file, or `--output-form`.
    fn target(&self, output: &Output) -> Result<Target, Failure> {
        match (output, self.output_form) {
            (Output::Stdout, None) => Ok(Target::Picture(None)),
            (Output::Stdout, Some(Form::Png)) => Ok(Target::Picture(Some(picture_type::PNG))),
            (Output::Stdout, Some(Form::Mkv)) => Ok(Target::Video(container::MATROSKA)),
            (Output::Stdout, Some(Form::Cveil)) => Err(Failure::usage("decrypting does not make packets")
                .advise("give --output-form png or --output-form mkv, or leave --output-form out for the picture that was sealed")),
            (Output::Path(_), Some(_)) => {
                Err(Failure::usage("OUTPUT's name says what to make, not --output-form").advise("leave --output-form out"))
            }
            (Output::Path(path), None) => match (PictureType::of_path(path), Container::of_path(path)) {
                (Some(kind), _) => Ok(Target::Picture(Some(kind))),
                (None, Some(container)) => Ok(Target::Video(container)),
                (None, None) => {
                    Err(Failure::usage(format!("{}: its extension does not say what to make", path.display())).advise(
                        format!("pictures: {}; videos: {}", PictureType::extensions(), Container::extensions()),
                    ))
                }
            },
        }
    }

    fn refuse_video_options(&self, what: &str) -> Result<(), Failure> {
        let named = [(self.video_only, "--video-only"), (self.from.is_some(), "--from"), (self.to.is_some(), "--to")];
        match named.iter().find(|(given, _)| *given) {
            Some((_, name)) => Err(Failure::usage(format!("{what} is no video: {name} means nothing to it"))),
            None => Ok(()),
        }
    }

    fn span(&self) -> Result<Option<Span>, Failure> {
        let span = Span { from: self.from, to: self.to };
        match span {
            Span { from: None, to: None } => Ok(None),
            Span { from, to: Some(to) } if from.unwrap_or(Moment(0)) >= to => {
                Err(Failure::usage("--to is not after --from").advise("name a later moment"))
            }
            span => Ok(Some(span)),
        }
    }

    fn picture_of(
        &self,
        opening: &Opening,
        input: &Input,
        kind: Option<&PictureType>,
        output: &Output,
    ) -> Result<(), Failure> {
        let name = input.name();
        let mut summary = Summary::start();
        let opened = match input {
            Input::File(path) => self.open(opening, &name, endpoint::open(path)?, &mut summary)?,
            Input::Stdin => self.open(opening, &name, std::io::stdin(), &mut summary)?,
            _ => return Err(Failure::usage(format!("{name} is no picture")).advise("name an OUTPUT that ends in .mkv")),
        };
        let kind = kind.unwrap_or(opened.content.kind());
        let done = self.deliver(&name, opened, kind, output, &mut summary);
        summary.print();
        done
    }

    fn video_of(
        &self,
        opening: &Opening,
        input: &Input,
        container: &'static Container,
        output: &Output,
    ) -> Result<(), Failure> {
        let name = input.name();
        let mut job = VideoDecrypt {
            opening,
            backend: &self.backend,
            name: &name,
            endless: input.file().is_none(),
            live: matches!(input, Input::Uri(_)),
            bytes: input.file().and_then(|path| path.metadata().ok()).map(|file| file.len()),
            container,
            video_only: self.video_only,
            excerpt: None,
            salvage: self.salvage,
            force: self.force,
        };
        if let Some(span) = self.span()? {
            return self.excerpt_of(&mut job, span, input, output);
        }
        match self.video_source(input)? {
            Sealed::Packets(source) => job.packets(source, output),
            Sealed::Pictures(source, extent) => job.pictures(source, &extent, output),
        }
    }

    fn excerpt_of(&self, job: &mut VideoDecrypt, span: Span, input: &Input, output: &Output) -> Result<(), Failure> {
        let only_files =
            || Failure::usage("--from and --to take a part of a .cveil file").advise("decrypt INPUT as a whole");
        let Input::File(path) = input else { return Err(only_files()) };
        if self.input_form.unwrap_or(Form::of_content(&endpoint::peek(job.name, endpoint::open(path)?)?.0))
            != Form::Cveil
        {
            return Err(only_files());
        }
        let mut file = PacketFile::open(path, job.opening)?;
        let excerpt = Excerpt::find(&mut file, span)?;
        let (source, read) = (ByteSource::of_read(file.part(excerpt.bytes.clone())?), file.read_bytes());
        job.excerpt = Some(excerpt);
        let done = job.packets(source, output);
        tell!("chaosveil: {} bytes of {}, which has {}, have been read", read.load(Relaxed), job.name, file.len());
        done
    }

    /// A camera gives pictures, perhaps cipher pictures; other addresses give packets unless told otherwise. Of files
    /// and stdin the content tells.
    fn video_source(&self, input: &Input) -> Result<Sealed, Failure> {
        let name = input.name();
        let is_picture = || {
            Failure::usage(format!("{name} is a picture, not a video"))
                .advise(format!("name an OUTPUT that ends in one of {}", PictureType::extensions()))
        };
        if let Input::Uri(uri) = input {
            return Ok(match (uri.strip_prefix("v4l2://"), self.input_form) {
                (Some(device), _) => {
                    let camera = Camera { device: device.to_owned(), ..Camera::default() };
                    Sealed::Pictures(VideoSource::Camera(camera), Extent::Endless)
                }
                (None, Some(Form::Mkv)) => Sealed::Pictures(VideoSource::Uri(uri.clone()), Extent::Endless),
                (None, Some(Form::Png)) => return Err(is_picture()),
                (None, _) => Sealed::Packets(ByteSource::of_uri(uri).map_err(|failure| failure.about(uri))?),
            });
        }
        let (start, source): (_, Box<dyn Read + Send>) = match input {
            Input::File(path) => {
                endpoint::peek(&name, endpoint::open(path)?).map(|(start, rest)| (start, Box::new(rest) as _))?
            }
            _ => endpoint::peek(&name, std::io::stdin()).map(|(start, rest)| (start, Box::new(rest) as _))?,
        };
        match (self.input_form.unwrap_or(Form::of_content(&start)), input.file()) {
            (Form::Png, _) => Err(is_picture()),
            (Form::Cveil, _) => Ok(Sealed::Packets(ByteSource::of_read(source))),
            // Some containers are not read from front to back: by its name the file is open to seeking.
            (Form::Mkv, Some(path)) => {
                Ok(Sealed::Pictures(VideoSource::File(path.to_owned()), Extent::File(path.to_owned())))
            }
            (Form::Mkv, None) => {
                let (extent, source) = Extent::of_pipe(&start, source);
                Ok(Sealed::Pictures(VideoSource::Bytes(ByteSource::of_read(source)), extent))
            }
        }
    }

    fn open(&self, opening: &Opening, name: &str, source: impl Read, summary: &mut Summary) -> Result<Opened, Failure> {
        let (start, source) = endpoint::peek(name, source)?;
        let source = CountedRead { source, bytes: &mut summary.bytes_in };
        let started = std::time::Instant::now();
        let opened =
            match self.input_form.unwrap_or(Form::of_content(&start)) {
                Form::Cveil => picture_file::open(opening, name, source),
                Form::Png => cipher_picture::open(opening, name, &endpoint::read_frame(name, source)?),
                Form::Mkv => Err(Failure::usage(format!("{name} is a video, not a picture"))
                    .advise("name an OUTPUT that ends in .mkv")),
            };
        summary.add("open", started.elapsed());
        opened
    }

    /// Writes what was opened, under its name only if nothing is wrong with the file that it came in.
    fn deliver(
        &self,
        name: &str,
        opened: Opened,
        kind: &PictureType,
        output: &Output,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let bytes =
            summary.time("convert", || opened.content.into_file(kind)).map_err(|failure| failure.about(name))?;
        let kept = summary.time("write", || self.write(&bytes, output, opened.damage.is_none()))?;
        summary.frames += 1;
        summary.bytes_out += bytes.len() as u64;
        match opened.damage {
            None => Ok(()),
            Some(damage) => Err(damaged(name, &damage, kept.as_deref())),
        }
    }

    /// Returns the partial name under which a damaged file's content is kept.
    fn write(&self, bytes: &[u8], output: &Output, intact: bool) -> Result<Option<PathBuf>, Failure> {
        let named = intact || self.salvage;
        let Output::Path(path) = output else {
            return if named { output::write_stdout(bytes).map(|()| None) } else { Ok(None) };
        };
        let file = PartialFile::create(path, self.force)?;
        file.write(bytes)?;
        match named {
            true => file.finish().map(|()| None),
            false => Ok(Some(file.keep())),
        }
    }

    fn folder(&self, opening: &Opening, from: &Path, to: &Path) -> Result<(), Failure> {
        if self.output_form.is_some() {
            return Err(Failure::usage("the names in a folder say what to make, not --output-form")
                .advise("leave --output-form out"));
        }
        let mut summary = Summary::start();
        let files = folder::files(from)?;
        let mut targets = folder::Targets::default();
        let done = folder::for_each(&files, |name| {
            let path = from.join(name);
            let shown = path.display().to_string();
            let opened = self.open(opening, &shown, endpoint::open_file(&path)?, &mut summary)?;
            let target = targets.claim(to.join(target_name(name, opened.content.kind())))?;
            endpoint::refuse_overlap(from, &target)?;
            let kind = PictureType::of_path(&target).unwrap_or(opened.content.kind());
            output::make_folder_of(&target)?;
            self.deliver(&shown, opened, kind, &Output::Path(target), &mut summary)
        });
        summary.print();
        done
    }
}

/// The name that a file had before it was encrypted, as far as its own name tells.
fn target_name(name: &Path, kind: &PictureType) -> PathBuf {
    let plain = match Form::of_path(name) {
        Some(Form::Cveil) => name.with_extension(""),
        _ => name.to_owned(),
    };
    match PictureType::of_path(&plain) {
        Some(_) => plain,
        None => kind.append_extension(plain),
    }
}

fn damaged(name: &str, damage: &Damage, kept: Option<&Path>) -> Failure {
    let failure = damage.failure(name);
    match kept {
        Some(path) => {
            failure.advise(format!("what is intact is in {}; --salvage gives it the final name", path.display()))
        }
        None => failure,
    }
}

/// Counts what is read.
struct CountedRead<'a, R> {
    source: R,
    bytes: &'a mut u64,
}

impl<R: Read> Read for CountedRead<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = self.source.read(buffer)?;
        *self.bytes += len as u64;
        Ok(len)
    }
}
