//! `encrypt`: which road an INPUT takes to become packets or a cipher picture.

use std::{
    ffi::OsString,
    io::Read,
    path::{Path, PathBuf},
};

use super::{
    byte_source::ByteSource,
    cipher_picture,
    endpoint::{self, Form, Input, Output},
    error::{Exit, Failure},
    folder, output, picture_file,
    picture_type::{self, PictureType},
    pixels::Pixels,
    sealing::{Sealing, SealingArguments, warn_of_trouble},
    summary::Summary,
    video_arguments::VideoArguments,
    video_encrypt::VideoEncrypt,
    video_source::VideoSource,
};

/// Encrypt a picture, a folder of pictures, a video, a camera, or what comes from stdin
///
/// OUTPUT's extension says what is made.
///
/// `.cveil`, from a picture: its own bytes are sealed, and decrypting to the same extension returns the identical file.
/// From a video: the encoded frames of all its tracks are sealed as they are, nothing is encoded again; chapters,
/// attachments and cover art are left out.
///
/// `.png`, from a picture: a cipher picture of the decoded pixels, depth, alpha and channels kept; of an animation the
/// first picture.
///
/// `.mkv`, from a video: a cipher video of the decoded frames through the lossless codec FFV1, for the formats I420,
/// Y42B, Y444, Y41B, YUV9, GRAY8 and GRAY16_LE; it has no end record, and holds no other tracks.
///
/// For a folder OUTPUT is a folder. `--output-form cveil` makes `a.jpg.cveil` of `a.jpg`; `--output-form png` makes `a.jpg.png` of
/// `a.jpg` and `b.png` of `b.png`. Folders in it are entered, names that start with a dot left out.
#[derive(clap::Args)]
pub struct Encrypt {
    #[command(flatten)]
    sealing: SealingArguments,
    #[command(flatten)]
    video: VideoArguments,
    /// What INPUT is, where its name and content shall not tell: a video (mkv) or a picture (png)
    #[arg(long, value_name = "FORM")]
    input_form: Option<Form>,
    /// What to make, where OUTPUT is a folder or `-`
    #[arg(long, value_name = "FORM")]
    output_form: Option<Form>,
    /// Overwrite OUTPUT
    #[arg(long)]
    force: bool,
    /// Picture, folder, video, `v4l2:///dev/video0`, any other address that GStreamer reads (tcp://, rtsp://, ...), or
    /// `-` for stdin
    input: OsString,
    /// File, folder, or `-` for stdout
    #[arg(short, long)]
    output: OsString,
}

impl Encrypt {
    /// Encrypts.
    pub fn run(self) -> Result<(), Failure> {
        let sealing = self.sealing.read()?;
        let done = self.encrypt(&sealing);
        warn_of_trouble(&*sealing.engine.backend);
        done
    }

    fn encrypt(&self, sealing: &Sealing) -> Result<(), Failure> {
        let input = Input::parse(&self.input)?;
        let output = Output::parse(&self.output);
        if let Output::Path(path) = &output {
            input.refuse_as_output(path)?;
        }
        let form = self.form(&input, &output)?;
        let name = input.name();
        match (input, &output) {
            (Input::Folder(from), Output::Path(to)) => match self.is_picture(true)? {
                true => self.folder(sealing, &from, to, form),
                false => Err(Failure::usage("a folder holds pictures, no video").advise("leave --input-form out")),
            },
            (Input::Folder(_), Output::Stdout) => {
                Err(Failure::usage("a folder does not go to stdout").advise("name a folder as OUTPUT"))
            }
            (Input::Uri(_), _) if self.is_picture(false)? => {
                Err(Failure::usage("an address gives a video, no picture").advise("leave --input-form out"))
            }
            (Input::Uri(uri), _) => {
                let camera = self.video.camera(&uri)?;
                self.video(sealing, &name, camera.map_or(VideoSource::Uri(uri), VideoSource::Camera), &output, form)
            }
            (Input::Stdin, _) => self.stdin(sealing, &name, &output, form),
            (Input::File(path), _) => self.file(sealing, &name, &path, &output, form),
        }
    }

    /// What to make: the extension of a file, or `--output-form`.
    fn form(&self, input: &Input, output: &Output) -> Result<Form, Failure> {
        let by_name = match output {
            Output::Path(path) if !matches!(input, Input::Folder(_)) => Some(Form::of_path(path).ok_or_else(|| {
                Failure::usage(format!("{}: its extension does not say what to make", path.display()))
                    .advise("name an OUTPUT that ends in .cveil, .png or .mkv")
            })?),
            _ => None,
        };
        match (by_name, self.output_form) {
            (Some(named), Some(asked)) if named != asked => {
                Err(Failure::usage("--output-form asks for something else than OUTPUT's extension")
                    .advise("leave --output-form out"))
            }
            (None, None) => Err(Failure::usage("a folder or stdout does not say what to make")
                .advise("give --output-form cveil, --output-form png or --output-form mkv")),
            (named, asked) => Ok(named.or(asked).unwrap_or(Form::Cveil)),
        }
    }

    fn stdin(&self, sealing: &Sealing, name: &str, output: &Output, form: Form) -> Result<(), Failure> {
        let (start, source) = endpoint::peek(name, std::io::stdin())?;
        match self.is_picture(PictureType::of_content(&start).is_some())? {
            true => self.picture(sealing, None, source, output, form),
            false => {
                self.video.refuse_live(name)?;
                self.video(sealing, name, VideoSource::Bytes(ByteSource::of_read(source)), output, form)
            }
        }
    }

    fn file(&self, sealing: &Sealing, name: &str, path: &Path, output: &Output, form: Form) -> Result<(), Failure> {
        let (start, source) = endpoint::peek(name, endpoint::open(path)?)?;
        if self.is_picture(PictureType::of_path(path).is_some() || PictureType::of_content(&start).is_some())? {
            return self.picture(sealing, Some(path), source, output, form);
        }
        self.video.refuse_live(name)?;
        let source = match path.is_file() {
            true => VideoSource::File(path.to_owned()),
            // A pipe that has a name cannot be opened again.
            false => VideoSource::Bytes(ByteSource::of_read(source)),
        };
        self.video(sealing, name, source, output, form)
    }

    /// Whether INPUT is a picture: `--input-form` says so, or else INPUT itself.
    fn is_picture(&self, by_itself: bool) -> Result<bool, Failure> {
        match self.input_form {
            Some(Form::Png) => Ok(true),
            Some(Form::Mkv) => Ok(false),
            Some(Form::Cveil) => {
                Err(Failure::usage("packets are not encrypted again").advise("leave --input-form out"))
            }
            None => Ok(by_itself),
        }
    }

    fn picture(
        &self,
        sealing: &Sealing,
        path: Option<&Path>,
        source: impl Read,
        output: &Output,
        form: Form,
    ) -> Result<(), Failure> {
        let name = path.map_or("stdin".into(), |path| path.display().to_string());
        self.video.refuse_all(&name)?;
        if let Output::Path(path) = output {
            output::check_free(path, self.force)?;
        }
        let mut summary = Summary::start();
        let picture = summary.time("read", || read_picture(&name, path, source))?;
        let sealed = seal(sealing, &picture, form, &mut summary).map_err(|failure| failure.about(&name))?;
        summary.time("write", || self.write(&sealed, output))?;
        summary.frame(picture.bytes.len(), sealed.len());
        summary.print();
        Ok(())
    }

    fn video(
        &self,
        sealing: &Sealing,
        name: &str,
        source: VideoSource,
        output: &Output,
        form: Form,
    ) -> Result<(), Failure> {
        if form == Form::Png {
            return Err(Failure::usage(format!("{name} is no picture; a video does not become one"))
                .advise("name an OUTPUT that ends in .cveil or .mkv"));
        }
        let job = VideoEncrypt {
            sealing: &self.sealing,
            read: sealing,
            form,
            decode: self.video.decode,
            video_only: self.video.video_only,
            rekey: self.video.rekey.clone(),
            duration: self.video.duration,
            force: self.force,
        };
        job.run(source, output).map_err(|failure| failure.about(name))
    }

    fn write(&self, bytes: &[u8], output: &Output) -> Result<(), Failure> {
        match output {
            Output::Path(path) => output::write_file(path, bytes, self.force),
            _ => output::write_stdout(bytes),
        }
    }

    fn folder(&self, sealing: &Sealing, from: &Path, to: &Path, form: Form) -> Result<(), Failure> {
        self.video.refuse_all("a folder")?;
        let mut summary = Summary::start();
        let files = folder::files(from)?;
        let mut targets = folder::Targets::default();
        let done = folder::for_each(&files, |name| {
            let path = from.join(name);
            let target = targets.claim(to.join(target_name(name, form)))?;
            endpoint::refuse_overlap(from, &target)?;
            output::check_free(&target, self.force)?;
            let shown = path.display().to_string();
            let file = endpoint::open_file(&path)?;
            let picture = summary.time("read", || read_picture(&shown, Some(&path), file))?;
            let sealed = seal(sealing, &picture, form, &mut summary).map_err(|failure| failure.about(&shown))?;
            summary.time("write", || {
                output::make_folder_of(&target)?;
                self.write(&sealed, &Output::Path(target))
            })?;
            summary.frame(picture.bytes.len(), sealed.len());
            Ok(())
        });
        summary.print();
        done
    }
}

/// The name of a file's cipher: what it was stays in it, so that decrypting can restore it.
fn target_name(name: &Path, form: Form) -> PathBuf {
    match form {
        Form::Png if PictureType::of_path(name) == Some(picture_type::PNG) => name.to_owned(),
        Form::Png => picture_type::PNG.append_extension(name.to_owned()),
        Form::Cveil | Form::Mkv => {
            let mut name = name.as_os_str().to_owned();
            name.push(".cveil");
            name.into()
        }
    }
}

/// A picture file as it was read.
struct PictureFile {
    kind: &'static PictureType,
    bytes: Vec<u8>,
}

/// Reads a picture. Its name says its type, for that is what decrypting is asked by; its content must be a picture too.
fn read_picture(name: &str, path: Option<&Path>, source: impl Read) -> Result<PictureFile, Failure> {
    let (start, source) = endpoint::peek(name, source)?;
    let Some(by_content) = PictureType::of_content(&start) else {
        return Err(Failure::new(Exit::Content, format!("{name} is no picture that can be read"))
            .advise(format!("known are {}", PictureType::extensions())));
    };
    let kind = path.and_then(PictureType::of_path).unwrap_or(by_content);
    Ok(PictureFile { kind, bytes: endpoint::read_frame(name, source)? })
}

fn seal(sealing: &Sealing, picture: &PictureFile, form: Form, summary: &mut Summary) -> Result<Vec<u8>, Failure> {
    match form {
        Form::Cveil => summary.time("seal", || picture_file::seal(sealing, picture.kind, &picture.bytes)),
        Form::Png => {
            let pixels = summary.time("decode", || Pixels::from_image(picture_type::decode(&picture.bytes)?))?;
            summary.time("seal", || cipher_picture::seal(sealing, pixels))
        }
        Form::Mkv => {
            Err(Failure::usage("a picture does not become a video")
                .advise("name an OUTPUT that ends in .cveil or .png"))
        }
    }
}
